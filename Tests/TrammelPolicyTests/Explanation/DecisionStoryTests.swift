import Testing
import TrammelConfig
import TrammelCore
import TrammelTestSupport

@testable import TrammelPolicy

@Suite("explain reads as a story")
struct DecisionStoryTests {
    private static let canary = Fixture.bookinfo.virtualService(
        "reviews",
        .route(
            [
                .header("end-user", .exact("jason")),
                .where {
                    $0.uri = .prefix("/beta"); $0.method = .exact("GET")
                },
            ],
            to: [.to("reviews/v3")], name: "testers"),
        .route([], to: [.to("reviews/v1", weight: 90), .to("reviews/v2", weight: 10)], timeout: 1_500_000_000))

    private func story(
        _ mesh: Mesh, _ request: RequestText, to destination: String = "reviews:9080", entropy: UInt64 = 0
    ) -> DecisionStory {
        request.withView { view in
            explain(
                mesh.snapshot, source: mesh.source(), destination: mesh.destination(destination), request: view,
                entropy: entropy)
        }
    }

    @Test("a header match")
    func headerMatch() {
        let told = story(DecisionStoryTests.canary.mesh(), "GET /\nhost: reviews\nend-user: jason")
        #expect(
            told.description == """
                address: 240.240.0.1:9080 is the address of reviews.default.svc.cluster.local, port 9080 (http) \
                (Service default/reviews, mesh.yaml:15)
                routes: 2 of VirtualService default/reviews, the first that matches decides \
                (VirtualService default/reviews, mesh.yaml:30)
                route #1 "testers": matches: header end-user is "jason" (VirtualService default/reviews, mesh.yaml:31)
                routes: not looked at: #2, since the first match decides
                endpoints: outbound|9080|v3|reviews.default.svc.cluster.local: subset v3, LEAST_REQUEST over \
                default/reviews-v3 (10.1.0.4:9080) (DestinationRule default/reviews, mesh.yaml:23)
                """)
        #expect(told.decidedBy?.location == SourceLocation(file: "mesh.yaml", line: 31))
    }

    @Test("every failed condition, and the weights")
    func weights() {
        let told = story(DecisionStoryTests.canary.mesh(), "POST /beta/x\nhost: reviews\nend-user: mary", entropy: .max)
        #expect(
            told.steps.dropFirst(2).map { "\($0.title): \($0.detail) @\($0.location?.line ?? 0)" } == [
                #"route #1 "testers": does not match: header end-user is "mary", wanted exactly "jason"; "#
                    + #"and method is "POST", wanted exactly "GET" @31"#,
                "route #2: matches: every request does @32",
                "weights: reviews/v1 90, reviews/v2 10 of 100; this request drew 99, which is reviews/v2 @32",
                "endpoints: outbound|9080|v2|reviews.default.svc.cluster.local: subset v2, LEAST_REQUEST over "
                    + "default/reviews-v2 (10.1.0.3:9080) @22",
                "timeout: 1.5 s for the whole request @32",
                #"nearest miss: route testers lacks only: method is "POST", wanted exactly "GET" @31"#,
            ])
        #expect(
            told.summary
                == "goes to reviews.default.svc.cluster.local, port 9080, subset v2, as this request drew"
        )
        #expect(told.possibilities.map(\.destination) == ["reviews/v1", "reviews/v2"])
        #expect(told.possibilities.map(\.share) == [0.9, 0.1])
        #expect(told.possibilities.map(\.endpoints.count) == [1, 1])
    }

    @Test("outside the mesh")
    func outside() {
        let open = story(Fixture.bookinfo.mesh(), "GET /\nhost: example.com", to: "192.0.2.1:9080")
        #expect(
            open.description == """
                address: 192.0.2.1:9080 is no service's
                host: "example.com" is no service with port 9080
                outside the mesh: outboundTrafficPolicy is ALLOW_ANY: passed through as asked
                """)
        #expect(open.decidedBy == nil)
        #expect(open.summary == "goes where it was going, outside the mesh")
        let closed = story(Fixture.bookinfo.registryOnly().mesh(), "GET /\nhost: example.com", to: "192.0.2.1:80")
        #expect(
            closed.description == """
                address: 192.0.2.1:80 is no service's
                host: no service declares port 80, so the host "example.com" is not looked at
                outside the mesh: outboundTrafficPolicy is REGISTRY_ONLY: answered 502 \
                (MeshConfig default/mesh, mesh.yaml:30)
                """)
        #expect(closed.summary == "is answered 502 by the agent")
        #expect(closed.decidedBy?.key.kind == .meshConfig)
    }

    @Test("answers of the mesh's own: no route, no cluster, a redirect")
    func answers() {
        let unmatched = Fixture.bookinfo.virtualService("reviews", .route(.uri(.exact("/a")), to: "reviews")).mesh()
        #expect(story(unmatched, "GET /b\nhost: reviews").steps.last?.detail.hasPrefix("404 (NR)") == true)

        let dangling = story(
            Fixture.bookinfo.virtualService("reviews", .route(to: "reviews/v9")).mesh(), "GET /b\nhost: reviews")
        #expect(dangling.steps.suffix(2).map(\.title) == ["destination", "answer"])
        #expect(dangling.steps.suffix(2).first?.detail.contains(#"no subset "v9""#) == true)
        #expect(dangling.steps.suffix(2).first?.location?.line == 999)

        let redirect = Fixture.bookinfo.virtualService("reviews", .redirect(Redirect(authority: "example.com"))).mesh()
        #expect(story(redirect, "GET /b\nhost: reviews").steps.last?.detail == "301 to http://example.com/b")
    }

    @Test("a VirtualService that is for others is passed over, and what holds instead is told")
    func passedOver() {
        let mesh = Fixture.bookinfo.virtualService(
            "reviews", .route(.where { $0.gateways = ["front"] }, to: "reviews/v2")
        ).mesh()
        let told = story(mesh, "GET /\nhost: reviews")
        let expected = [
            "1 of VirtualService default/reviews, the first that matches decides",
            #"does not match: gateway is "mesh", wanted one of "front""#,
            "none of them is for this caller and port, so VirtualService default/reviews does not apply",
        ]
        let found = told.steps.dropFirst().prefix(3).map(\.detail)
        #expect(found == expected)
        #expect(told.decidedBy?.key.kind == .service)
        #expect(told.route == nil)
    }

    @Test("edits are told")
    func edits() {
        let mesh = Fixture.bookinfo.virtualService(
            "reviews",
            .route(
                [.uri(.prefix("/api"))], to: [.to("reviews")], rewrite: Rewrite(uri: "/v2", authority: "inner"),
                headers: HeaderOperations(request: .init(add: [.init(name: "x", value: "y")], remove: ["z"])))
        ).mesh()
        #expect(
            story(mesh, "GET /api/a\nhost: reviews").steps.suffix(3).map(\.detail) == [
                "the target becomes /v2/a", "the host becomes inner", #"drop z; add "x: y""#,
            ])
    }

    @Test("connections that are carried as bytes, and names")
    func tcpAndNames() {
        let mesh = Fixture().service("redis", ports: [6379], appProtocol: .redis)
            .workload("redis-v1").workload("redis-v2", notListening: [6379]).mesh()
        let inside = mesh.explainTCP(to: "redis:6379")
        #expect(
            inside.description == """
                address: 240.240.0.1:6379 is the address of redis.default.svc.cluster.local, port 6379 (redis) \
                (Service default/redis, mesh.yaml:15)
                routes: no VirtualService has tcp or tls routes for redis.default.svc.cluster.local, so any of its \
                endpoints will do
                endpoints: outbound|6379||redis.default.svc.cluster.local: LEAST_REQUEST over \
                default/redis-v1 (10.1.0.1:6379); not listening: default/redis-v2 (10.1.0.2:6379)
                """)
        let outside = mesh.explainTCP(to: "192.0.2.1:5")
        #expect(outside.steps.map(\.title) == ["address", "outside the mesh"])

        let known = explainName(mesh.snapshot, name: "redis", source: mesh.source())
        #expect(known.step.detail == #""redis" is redis.default.svc.cluster.local, 240.240.0.1"#)
        #expect(explainName(mesh.snapshot, name: "example.com", source: mesh.source()).resolved == nil)
    }

    @Test("the story comes to the decision of the data path, whatever is asked")
    func sameDecision() {
        let mesh = DecisionStoryTests.canary.mesh()
        var random = SplitMix(seed: 9)
        for _ in 0..<300 {
            let path = ["/", "/beta", "/x?y"].randomElement(using: &random) ?? "/"
            let user = ["jason", "mary"].randomElement(using: &random) ?? "mary"
            let to = ["reviews:9080", "192.0.2.1:9080", "192.0.2.1:80"].randomElement(using: &random) ?? "reviews:9080"
            let request = RequestText("GET \(path)\nhost: reviews\nend-user: \(user)")
            let entropy = random.next()
            let decision = mesh.decide(request, to: to, entropy: entropy)
            let told = story(mesh, request, to: to, entropy: entropy)
            switch (decision.verdict, told.verdict) {
            case (.forward(let a), .forward(let b)): #expect(a === b)
            case (.passthrough(let a), .passthrough(let b)): #expect(a === b)
            case (.respond(let a), .respond(let b)): #expect(a === b)
            default: Issue.record("\(decision.verdict) is not \(told.verdict)")
            }
            #expect(decision.route === told.route)
        }
    }
}
