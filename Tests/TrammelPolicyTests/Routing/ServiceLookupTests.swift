import Testing
import TrammelConfig
import TrammelCore

@testable import TrammelPolicy

@Suite("Which service a call is for")
struct ServiceLookupTests {
    private let mesh = Fixture()
        .service("reviews").service("ratings", ports: [9080, 8080]).service("cart", in: "shop", ports: [80])
        .workload("productpage-v1").workload("reviews-v1").workload("ratings-v1")
        .virtualService("edge", hosts: ["api.example.com", "*.wild.example.com"], .route(to: "ratings"))
        .mesh()

    @Test("the virtual address decides, whatever the host says")
    func addressFirst() {
        #expect(mesh.decide("GET /\nhost: ratings", to: "reviews:9080").summary == "reviews")
        #expect(mesh.decide("GET /", to: "reviews:9080").summary == "reviews")
    }

    @Test(
        "without an address of the mesh the host decides: short, qualified, in any case, with a port or a dot",
        arguments: [
            ("reviews", "reviews"), ("REVIEWS", "reviews"), ("reviews:9080", "reviews"), ("reviews.", "reviews"),
            ("reviews.default", "reviews"), ("reviews.default.svc", "reviews"),
            ("Reviews.Default.svc.cluster.local", "reviews"),
            ("reviews.default.svc.cluster.local.:9080", "reviews"),
            ("api.example.com", "ratings"), ("API.example.com.", "ratings"), ("a.wild.example.com", "ratings"),
            ("a.b.wild.example.com:1", "ratings"),
            ("wild.example.com", "passthrough"), ("awild.example.com", "passthrough"), ("example.com", "passthrough"),
            ("reviews.shop", "passthrough"), ("cart", "passthrough"), ("cart.shop", "passthrough"),
            ("reviews.svc", "passthrough"), (".", "passthrough"), ("", "passthrough"), (":9080", "passthrough"),
            ("[::1]:9080", "passthrough"), ("10.0.0.1", "passthrough"),
            (String(repeating: "a", count: 253), "passthrough"), (String(repeating: "a", count: 254), "passthrough"),
            (String(repeating: "a.", count: 4_000), "passthrough"),
        ])
    func hostSecond(_ host: String, _ expected: String) {
        #expect(mesh.decide(RequestText("GET /\nhost: \(host)"), to: "192.0.2.1:9080").summary == expected)
    }

    @Test("a short name is completed with the caller's namespace")
    func callersNamespace() {
        let mesh = Fixture()
            .service("cart", ports: [80]).service("cart", in: "shop", ports: [80])
            .workload("a-v1", in: "shop").workload("b-v1").mesh()
        let inShop = mesh.decide("GET /\nhost: cart", to: "192.0.2.1:80", from: "a-v1")
        let inDefault = mesh.decide("GET /\nhost: cart", to: "192.0.2.1:80", from: "b-v1")
        #expect(inShop.service?.host == "cart.shop.svc.cluster.local")
        #expect(inDefault.service?.host == "cart.default.svc.cluster.local")
    }

    @Test(
        "the host is not looked at on a port that no service declares, nor does it find a port that its service lacks")
    func undeclaredPort() {
        #expect(mesh.decide("GET /\nhost: reviews", to: "192.0.2.1:7777").summary == "passthrough")
        #expect(mesh.decide("GET /\nhost: reviews", to: "192.0.2.1:8080").summary == "passthrough")
        #expect(mesh.decide("GET /\nhost: ratings", to: "192.0.2.1:8080").cluster?.port == 8080)
    }

    @Test("REGISTRY_ONLY answers 502 to a request and closes a connection")
    func registryOnly() {
        let mesh = Fixture().service("reviews").workload("reviews-v1").registryOnly().mesh()
        #expect(mesh.decide("GET /\nhost: example.com", to: "192.0.2.1:9080").summary == "502 -")
        #expect(mesh.decide("GET /\nhost: reviews", to: "192.0.2.1:9080").summary == "reviews")
        let outside = mesh.decideTCP(to: "192.0.2.1:5432")
        guard case .refuse = outside.verdict else {
            Issue.record("expected a refusal, got \(outside.verdict)")
            return
        }
        #expect(outside.origin?.key.kind == .meshConfig)
    }

    @Test("an exact host goes before a wildcard, a longer wildcard before a shorter, * comes last")
    func mostSpecificHost() {
        let mesh = Fixture()
            .service("a").service("b").service("c").service("d").service("e")
            .virtualService("1", hosts: ["*"], .route(to: "a"))
            .virtualService("2", hosts: ["*.com"], .route(to: "b"))
            .virtualService("3", hosts: ["*.example.com"], .route(to: "c"))
            .virtualService("4", hosts: ["x.example.com"], .route(to: "d"))
            .mesh()
        func answer(_ host: String) -> String {
            mesh.decide(RequestText("GET /\nhost: \(host)"), to: "192.0.2.1:9080").summary
        }
        #expect(answer("x.example.com") == "d")
        #expect(answer("y.example.com") == "c")
        #expect(answer("example.com") == "b")
        #expect(answer("example.org") == "a")
        // A service without a VirtualService of its own falls under the wildcard as well.
        #expect(mesh.decide("GET /\nhost: e", to: "e:9080").summary == "a")
    }

    @Test("a wildcard stands for the services under it")
    func wildcardOverServices() {
        let mesh = Fixture()
            .service("a").service("b").service("c", in: "shop")
            .virtualService("all", hosts: ["*.default.svc.cluster.local"], .respond(418))
            .virtualService("b", .route(to: "b"))
            .mesh()
        #expect(mesh.decide("GET /\nhost: a", to: "a:9080").summary == "418 -")
        #expect(mesh.decide("GET /\nhost: b", to: "b:9080").summary == "b")
        #expect(mesh.decide("GET /\nhost: c", to: "240.240.0.3:9080").summary == "c")
    }

    @Test("a destination without a port takes the service's only one, else the one that was asked for")
    func destinationPort() {
        func port(_ fixture: Fixture, _ to: String) -> UInt16? {
            fixture.mesh().decide("GET /\nhost: front", to: to).cluster?.port
        }
        let base = Fixture().service("front", ports: [80, 81]).service("one", ports: [9000])
            .service("two", ports: [80, 82])
        #expect(port(base.virtualService("front", .route(to: "one")), "front:80") == 9000)
        #expect(port(base.virtualService("front", .route(to: "two")), "front:80") == 80)
        #expect(port(base.virtualService("front", .route(to: "two")), "front:81") == nil)
        let explicit = base.virtualService("front", .route([], to: [.to("two", port: 82)]))
        #expect(port(explicit, "front:81") == 82)
        let mesh = base.virtualService("front", .route(to: "two")).mesh()
        #expect(mesh.decide("GET /\nhost: front", to: "front:81").summary == "503 NC")
    }

    @Test("a short destination host resolves in the namespace of the rule")
    func rulesNamespace() {
        let mesh = Fixture()
            .service("reviews").service("cart").service("cart", in: "shop")
            .virtualService(
                "r", in: "shop", hosts: ["reviews.default.svc.cluster.local"], .route(to: "cart")
            ).mesh()
        let decision = mesh.decide("GET /\nhost: reviews")
        #expect(decision.service?.host == "cart.shop.svc.cluster.local")
    }

    @Test("connections that are carried as bytes")
    func tcp() {
        let mesh = Fixture()
            .service("redis", ports: [6379], appProtocol: .redis).workload("redis-v1")
            .virtualService("redis", .respond(418)).mesh()
        let inside = mesh.decideTCP(to: "redis:6379")
        #expect(inside.cluster?.name == "outbound|6379||redis.default.svc.cluster.local")
        #expect(inside.origin?.key.kind == .service)
        let outside = mesh.decideTCP(to: "192.0.2.1:1")
        guard case .passthrough(nil) = outside.verdict else {
            Issue.record("expected a passthrough, got \(outside.verdict)")
            return
        }
    }

    @Test("what arrives at a workload belongs to the service that selects it by that port")
    func inbound() {
        let mesh = Fixture()
            .service("b", ports: [80], target: 8080, selector: ["app": "x"])
            .service("a", ports: [80], target: 8080, selector: ["app": "x"])
            .workload("x-v1", notListening: [8080]).mesh()
        let id = WorkloadID(rawValue: 1)
        #expect(decideInbound(mesh.snapshot, workload: id, port: 8080).service?.name == "a")
        #expect(decideInbound(mesh.snapshot, workload: id, port: 80).service == nil)
        #expect(decideInbound(mesh.snapshot, workload: WorkloadID(rawValue: 2), port: 8080).service == nil)
    }
}
