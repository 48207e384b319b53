import Testing
import TrammelConfig
import TrammelCore

@testable import TrammelPolicy

@Suite("Conditions of a VirtualService")
struct RouteMatchingTests {
    /// A mesh that sends what `match` holds for to v2, and the rest to v1.
    private func goesToV2(
        _ match: HTTPMatch, _ request: RequestText, to destination: String = "reviews:9080",
        from source: String = "productpage-v1"
    ) -> Bool {
        let mesh = Fixture.bookinfo
            .virtualService("reviews", .route(match, to: "reviews/v2"), .route(to: "reviews/v1")).mesh()
        let summary = mesh.decide(request, to: destination, from: source).summary
        #expect(summary == "reviews/v1" || summary == "reviews/v2")
        return summary == "reviews/v2"
    }

    @Test(
        "a path is matched without its query",
        arguments: [
            (StringMatch.exact("/a"), false, "/a", true),
            (.exact("/a"), false, "/a?b=c", true),
            (.exact("/a"), false, "/a/", false),
            (.exact("/a"), false, "/A", false),
            (.exact("/aB"), true, "/Ab", true),
            (.prefix("/foo"), false, "/foobar", true),
            (.prefix("/foo"), false, "/foo?x", true),
            (.prefix("/foo"), false, "/fo", false),
            (.prefix("/foo"), false, "/Foo/x", false),
            (.prefix("/Foo"), true, "/fOO/x", true),
            (.prefix("/foo?"), false, "/foo?x", false),
            (.regex("/v[0-9]+/.*"), false, "/v12/x", true),
            (.regex("/v[0-9]+"), false, "/v12/x", false),
            (.regex("/V[0-9]+"), true, "/v12", false),
            (.regex("/a"), false, "/a?b", true),
            (.presence, false, "/", true),
        ])
    func path(_ match: StringMatch, _ ignoringCase: Bool, _ target: String, _ holds: Bool) {
        let condition = HTTPMatch.where {
            $0.uri = match
            $0.ignoreURICase = ignoringCase
        }
        #expect(goesToV2(condition, RequestText("GET \(target)\nhost: reviews")) == holds)
    }

    @Test(
        "headers are found whatever the case of their name; values are taken as they are",
        arguments: [
            (StringMatch.exact("jason"), "end-user: jason", true),
            (.exact("jason"), "End-User: jason", true),
            (.exact("jason"), "end-user: Jason", false),
            (.exact("jason"), "end-use: jason", false),
            (.exact("jason"), "x: y", false),
            (.prefix("ja"), "end-user: jason", true),
            (.prefix("ja"), "end-user: j", false),
            (.regex("^(.*?;)?(user=jason)(;.*)?$"), "end-user: a=b;user=jason;c=d", true),
            (.regex("jas"), "end-user: jason", false),
            (.presence, "end-user:", true),
            (.presence, "x: y", false),
            (.exact(""), "end-user:", true),
            (.exact(""), "x: y", false),
            // Repeated fields are one value, joined by commas.
            (.exact("a,b"), "end-user: a\nx: y\nEND-USER: b", true),
            (.exact("a"), "end-user: a\nend-user: b", false),
            (.regex("a,b,"), "end-user: a\nend-user: b\nend-user:", true),
            (.presence, "end-user: a\nend-user: b", true),
        ])
    func header(_ match: StringMatch, _ lines: String, _ holds: Bool) {
        #expect(goesToV2(.header("end-user", match), RequestText("GET /\nhost: reviews\n\(lines)")) == holds)
    }

    @Test(
        "withoutHeaders takes a missing header for an empty one and inverts",
        arguments: [
            (StringMatch.exact("jason"), "x: y", true),
            (.exact("jason"), "end-user: jason", false),
            (.exact("jason"), "end-user: mary", true),
            (.presence, "x: y", true),
            (.presence, "end-user: a", false),
            (.exact(""), "x: y", false),
            (.regex(".*"), "x: y", false),
            (.prefix("a"), "x: y", true),
        ])
    func withoutHeader(_ match: StringMatch, _ lines: String, _ holds: Bool) {
        let condition = HTTPMatch.where { $0.withoutHeaders = [("end-user", match)] }
        #expect(goesToV2(condition, RequestText("GET /\nhost: reviews\n\(lines)")) == holds)
    }

    @Test("a header that the agent knows by a number is matched like any other")
    func knownHeader() {
        let match = HTTPMatch.header("user-agent", .prefix("curl/"))
        #expect(goesToV2(match, "GET /\nhost: reviews\nUser-Agent: curl/8.5"))
        #expect(!goesToV2(match, "GET /\nhost: reviews\nUser-Agent: wget"))
        #expect(!goesToV2(match, "GET /\nhost: reviews\nContent-Type: curl/8.5"))
    }

    @Test(
        "the first query parameter of the name counts, as sent",
        arguments: [
            (StringMatch.exact("1"), "/?v=1", true),
            (.exact("1"), "/?a=b&v=1&c", true),
            (.exact("1"), "/?v=2&v=1", false),
            (.exact("1"), "/?vv=1", false),
            (.exact("1"), "/v=1", false),
            (.exact(""), "/?v", true),
            (.exact(""), "/?v=", true),
            (.exact("a=b"), "/?v=a=b", true),
            (.exact("a b"), "/?v=a%20b", false),
            (.presence, "/?v", true),
            (.presence, "/?w", false),
            (.presence, "/", false),
            (.regex("[0-9]+"), "/?v=12", true),
            (.prefix("1"), "/?&v=12", true),
        ])
    func query(_ match: StringMatch, _ target: String, _ holds: Bool) {
        let condition = HTTPMatch.where { $0.queryParams = [("v", match)] }
        #expect(goesToV2(condition, RequestText("GET \(target)\nhost: reviews")) == holds)
    }

    @Test("method, authority and scheme")
    func methodAuthorityScheme() {
        #expect(goesToV2(.where { $0.method = .exact("POST") }, "POST /\nhost: reviews"))
        #expect(!goesToV2(.where { $0.method = .exact("POST") }, "GET /\nhost: reviews"))
        #expect(!goesToV2(.where { $0.method = .exact("post") }, "POST /\nhost: reviews"))
        #expect(goesToV2(.where { $0.authority = .exact("reviews") }, "GET /\nhost: reviews"))
        #expect(goesToV2(.where { $0.authority = .prefix("reviews") }, "GET /\nhost: reviews:9080"))
        #expect(!goesToV2(.where { $0.authority = .exact("reviews") }, "GET /\nhost: reviews:9080"))
        #expect(!goesToV2(.where { $0.authority = .presence }, "GET /"))
        #expect(goesToV2(.where { $0.scheme = .exact("http") }, "GET /\nhost: reviews"))
        #expect(goesToV2(.where { $0.scheme = .exact("https") }, RequestText("GET /\nhost: reviews", scheme: .https)))
        #expect(!goesToV2(.where { $0.scheme = .exact("https") }, "GET /\nhost: reviews"))
    }

    @Test("header names that stand for something else: host is the authority, :method the method")
    func pseudoHeaders() {
        #expect(goesToV2(.header("host", .exact("reviews")), "GET /\nhost: reviews"))
        #expect(goesToV2(.header(":authority", .exact("reviews")), "GET /\nhost: reviews"))
        #expect(goesToV2(.header(":method", .exact("GET")), "GET /\nhost: reviews"))
        #expect(goesToV2(.where { $0.withoutHeaders = [(":method", .exact("POST"))] }, "GET /\nhost: reviews"))
        #expect(!goesToV2(.where { $0.withoutHeaders = [("host", .exact("reviews"))] }, "GET /\nhost: reviews"))
    }

    @Test("the names uri, scheme, method and authority are passed over in headers, with a warning")
    func ignoredHeaderNames() {
        for name in ["uri", "scheme", "method", "authority"] {
            let mesh = Fixture.bookinfo
                .virtualService(
                    "reviews", .route(.header(name, .exact("never")), to: "reviews/v2"), .route(to: "reviews/v1")
                ).mesh()
            #expect(mesh.decide("GET /\nhost: reviews").summary == "reviews/v2")
            #expect(mesh.warnings.map(\.code) == [.withoutEffect])
        }
    }

    @Test("the port is the one that was asked for")
    func port() {
        #expect(goesToV2(.where { $0.port = 9080 }, "GET /\nhost: reviews"))
        #expect(!goesToV2(.where { $0.port = 80 }, "GET /\nhost: reviews"))
    }

    @Test("sourceLabels and sourceNamespace select the caller")
    func source() {
        let request: RequestText = "GET /\nhost: reviews"
        #expect(goesToV2(.where { $0.sourceLabels = ["app": "productpage"] }, request))
        #expect(goesToV2(.where { $0.sourceLabels = ["app": "productpage", "version": "v1"] }, request))
        #expect(!goesToV2(.where { $0.sourceLabels = ["app": "productpage", "version": "v2"] }, request))
        #expect(!goesToV2(.where { $0.sourceLabels = ["team": "a"] }, request))
        #expect(!goesToV2(.where { $0.sourceLabels = ["app": "productpage"] }, request, from: "stranger"))
        #expect(goesToV2(.where { $0.sourceNamespace = "default" }, request))
        #expect(!goesToV2(.where { $0.sourceNamespace = "shop" }, request))
    }

    @Test("a match of gateways is for captured calls only where mesh is among them")
    func gateways() {
        #expect(!goesToV2(.where { $0.gateways = ["front"] }, "GET /\nhost: reviews"))
        #expect(goesToV2(.where { $0.gateways = ["front", "mesh"] }, "GET /\nhost: reviews"))
    }

    @Test(
        "a VirtualService that has no route for the caller and the port does not apply",
        arguments: [
            .where { $0.port = 80 }, .where { $0.sourceLabels = ["app": "other"] },
            .where { $0.sourceNamespace = "shop" },
            .where { $0.gateways = ["front"] },
            .where {
                $0.port = 80
                $0.uri = .prefix("/")
            },
        ] as [HTTPMatch])
    func notForThisCaller(_ match: HTTPMatch) {
        let elsewhere = Fixture.bookinfo.virtualService("reviews", .route(match, to: "reviews/v2"))
        #expect(elsewhere.mesh().decide("GET /\nhost: reviews").summary == "reviews")
        // One route that is for the caller, whatever the request must say, and the VirtualService holds.
        let here = Fixture.bookinfo.virtualService(
            "reviews", .route(match, to: "reviews/v2"), .route(.uri(.exact("/a")), to: "reviews/v1"))
        #expect(here.mesh().decide("GET /b\nhost: reviews").summary == "404 NR")
    }

    @Test("and where it names a host that is no service, the mesh's own policy holds")
    func notForThisCallerOutside() {
        let mesh = Fixture.bookinfo.virtualService(
            "outside", hosts: ["example.com"], .route(.where { $0.sourceNamespace = "shop" }, to: "reviews/v2"))
        #expect(mesh.mesh().decide("GET /\nhost: example.com", to: "192.0.2.1:9080").summary == "passthrough")
        let closed = mesh.registryOnly().mesh().decide("GET /\nhost: example.com", to: "192.0.2.1:9080")
        #expect(closed.summary == "502 -")
    }

    @Test("conditions of a match are ANDed, matches ORed, the first rule wins")
    func combination() {
        let both = HTTPMatch.where {
            $0.uri = .prefix("/a")
            $0.headers = [("x", .exact("1")), ("y", .exact("2"))]
        }
        #expect(goesToV2(both, "GET /a\nhost: reviews\ny: 2\nx: 1"))
        #expect(!goesToV2(both, "GET /a\nhost: reviews\nx: 1"))
        #expect(!goesToV2(both, "GET /b\nhost: reviews\nx: 1\ny: 2"))

        let mesh = Fixture.bookinfo.virtualService(
            "reviews",
            .route([.uri(.exact("/a")), .header("x", .exact("1"))], to: [.to("reviews/v3")]),
            .route(.uri(.prefix("/a")), to: "reviews/v2"),
            .route(to: "reviews/v1")
        ).mesh()
        #expect(mesh.decide("GET /a\nhost: reviews").summary == "reviews/v3")
        #expect(mesh.decide("GET /z\nhost: reviews\nx: 1").summary == "reviews/v3")
        #expect(mesh.decide("GET /ab\nhost: reviews").summary == "reviews/v2")
        #expect(mesh.decide("GET /z\nhost: reviews").summary == "reviews/v1")
    }

    @Test("no rule matches: 404 with flag NR; no VirtualService: the default route")
    func nothingMatches() {
        let routed = Fixture.bookinfo.virtualService("reviews", .route(.uri(.exact("/a")), to: "reviews/v2")).mesh()
        #expect(routed.decide("GET /b\nhost: reviews").summary == "404 NR")
        #expect(Fixture.bookinfo.mesh().decide("GET /b\nhost: reviews").summary == "reviews")
    }

    @Test("a VirtualService without routes, or for gateways alone, leaves the default route")
    func notForTheMesh() {
        let request: RequestText = "GET /b\nhost: reviews"
        #expect(Fixture.bookinfo.virtualService("reviews").mesh().decide(request).summary == "reviews")
        let gateway = Fixture.bookinfo
            .virtualService("reviews", gateways: ["edge"], .route(to: "reviews/v2")).mesh()
        #expect(gateway.decide(request).summary == "reviews")
        let both = Fixture.bookinfo
            .virtualService("reviews", gateways: ["edge", "mesh"], .route(to: "reviews/v2")).mesh()
        #expect(both.decide(request).summary == "reviews/v2")
    }
}
