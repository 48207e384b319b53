import Testing
import TrammelConfig
import TrammelCore

@testable import TrammelPolicy

@Suite("Rewrite, redirect and direct response")
struct TargetRewriteTests {
    @Test(
        "rewrite.uri replaces what the condition matched; the query stays",
        arguments: [
            (StringMatch.prefix("/api"), "/v2", "/api/x?y=z", "/v2/x?y=z"),
            (.prefix("/api/"), "/", "/api/x", "/x"),
            (.prefix("/api"), "/v2", "/api", "/v2"),
            (.exact("/old"), "/new", "/old?a", "/new?a"),
            (.regex("/v[0-9]/.*"), "/all", "/v1/x?q", "/all?q"),
            // Without a condition on the path it is the leading slash, as if the prefix had been "/".
            (nil, "/base/", "/x?q", "/base/x?q"),
            (nil, "/base", "/", "/base"),
        ] as [(StringMatch?, String, String, String)])
    func uri(_ match: StringMatch?, _ rewrite: String, _ target: String, _ expected: String) {
        let mesh = Fixture.bookinfo.virtualService(
            "reviews",
            .route(
                match.map { [HTTPMatch.uri($0)] } ?? [], to: [.to("reviews/v1")], rewrite: Rewrite(uri: rewrite))
        ).mesh()
        #expect(rewritten(mesh, RequestText("GET \(target)\nhost: reviews")) == expected)
    }

    @Test(
        "rewrite.uriRegexRewrite replaces every part of the path that matches; the query stays",
        arguments: [
            (
                "^/service/([^/]+)(/.*)$", #"\2/instance/\1"#, "/service/foo/v1/api?q=/service/a/b",
                "/v1/api/instance/foo?q=/service/a/b"
            ),
            ("one", "two", "/xxx/one/yyy/one/zzz?one", "/xxx/two/yyy/two/zzz?one"),
            ("^(.*?)one(.*)$", #"\1two\2"#, "/xxx/one/yyy/one/zzz", "/xxx/two/yyy/one/zzz"),
            ("(?i)/xxx/", "/yyy/", "/aaa/XxX/bbb", "/aaa/yyy/bbb"),
            ("nothing", "x", "/a?b", "/a?b"),
            // A path stays one.
            ("^/+", "x", "//a", "/xa"), ("^/.*$", "?", "/a?b", "/??b"),
        ] as [(String, String, String, String)])
    func uriRegex(_ pattern: String, _ substitution: String, _ target: String, _ expected: String) {
        let rewrite = Rewrite(uriRegex: RegexRewrite(match: pattern, rewrite: substitution))
        let mesh = Fixture.bookinfo.virtualService("reviews", .route([], to: [.to("reviews/v1")], rewrite: rewrite))
            .mesh()
        #expect(mesh.warnings.isEmpty)
        #expect(rewritten(mesh, RequestText("GET \(target)\nhost: reviews")) == expected)
    }

    @Test("a target begins with a slash, whatever the rewrite says")
    func slash() {
        let mesh = Fixture.bookinfo.virtualService(
            "reviews", .route([.uri(.prefix("/a"))], to: [.to("reviews/v1")], rewrite: Rewrite(uri: "b"))
        ).mesh()
        #expect(rewritten(mesh, "GET /a/c\nhost: reviews") == "/b/c")
    }

    private func rewritten(_ mesh: Mesh, _ request: RequestText) -> String {
        let decision = mesh.decide(request)
        return request.withView { view in
            var out = Array("GET ".utf8)
            decision.appendTarget(of: view, into: &out)
            return String(decoding: out.dropFirst(4), as: UTF8.self)
        }
    }

    @Test("a target that is no path stays, as does everything without a rewrite")
    func untouched() {
        let rewriting = Fixture.bookinfo.virtualService(
            "reviews", .route([], to: [.to("reviews/v1")], rewrite: Rewrite(uri: "/new"))
        ).mesh()
        #expect(rewritten(rewriting, "OPTIONS *\nhost: reviews") == "*")
        #expect(rewritten(rewriting, "CONNECT \nhost: reviews") == "")
        #expect(rewritten(Fixture.bookinfo.mesh(), "GET /a?b\nhost: reviews") == "/a?b")
    }

    @Test("a prefix matched in another case is replaced by its own length")
    func ignoringCase() {
        let match = HTTPMatch.where {
            $0.uri = .prefix("/API")
            $0.ignoreURICase = true
        }
        let mesh = Fixture.bookinfo.virtualService(
            "reviews", .route([match], to: [.to("reviews/v1")], rewrite: Rewrite(uri: "/x"))
        ).mesh()
        #expect(rewritten(mesh, "GET /api/y\nhost: reviews") == "/x/y")
    }

    private func location(_ redirect: Redirect, _ request: RequestText, to: String = "reviews:9080") -> String? {
        let mesh = Fixture.bookinfo.virtualService("reviews", .redirect(redirect)).mesh()
        let decision = mesh.decide(request, to: to)
        guard let compiled = decision.response?.redirect else { return nil }
        #expect(decision.response?.status == redirect.code)
        #expect(decision.response?.body.isEmpty == true)
        return request.withView { view in
            var out: [UInt8] = []
            compiled.appendLocation(for: view, port: 9080, into: &out)
            return String(decoding: out, as: UTF8.self)
        }
    }

    @Test(
        "Location keeps what the redirect does not name",
        arguments: [
            (Redirect(), "http://reviews:9080/a?b"),
            (Redirect(uri: "/new"), "http://reviews:9080/new?b"),
            (Redirect(uri: "/new?c=d", code: 302), "http://reviews:9080/new?c=d"),
            (Redirect(uri: "new"), "http://reviews:9080/new?b"),
            (Redirect(authority: "example.com"), "http://example.com/a?b"),
            (Redirect(authority: "example.com:8443", scheme: "https"), "https://example.com:8443/a?b"),
            (Redirect(scheme: "https", code: 308), "https://reviews:9080/a?b"),
            (Redirect(scheme: "https", port: .number(8443)), "https://reviews:8443/a?b"),
            (Redirect(scheme: "https", port: .number(443)), "https://reviews/a?b"),
            (Redirect(port: .fromProtocolDefault), "http://reviews/a?b"),
            (Redirect(authority: "example.com", port: .fromRequestPort), "http://example.com:9080/a?b"),
        ])
    func location(_ redirect: Redirect, _ expected: String) {
        #expect(location(redirect, "GET /a?b\nhost: reviews:9080") == expected)
    }

    @Test(
        "a port that is the scheme's default is left out",
        arguments: [
            ("reviews:80", "https://reviews/"), ("reviews:443", "https://reviews/"),
            ("[2001:db8::1]:80", "https://[2001:db8::1]/"), ("[2001:db8::1]", "https://[2001:db8::1]/"),
            ("[2001:db8::1]:81", "https://[2001:db8::1]:81/"), ("reviews:8080", "https://reviews:8080/"),
        ])
    func defaultPort(_ host: String, _ expected: String) {
        #expect(location(Redirect(scheme: "https"), RequestText("GET /\nhost: \(host)")) == expected)
    }

    @Test("a direct response has its status, body and the body's type")
    func directResponse() {
        let mesh = Fixture.bookinfo.virtualService("reviews", .respond(503, "down for repairs")).mesh()
        let response = mesh.decide("GET /\nhost: reviews").response
        #expect(response?.status == 503)
        #expect(response.map { String(decoding: $0.body, as: UTF8.self) } == "down for repairs")
        #expect(response.map { String(decoding: $0.headers, as: UTF8.self) } == "content-type: text/plain\r\n")
        #expect(response?.flag == LocalResponse.Flag.none)
    }

    @Test("the timeout is the route's; none without")
    func timeout() {
        let mesh = Fixture.bookinfo.virtualService(
            "reviews", .route([.uri(.exact("/slow"))], to: [.to("reviews")], timeout: 2_500_000_000),
            .route(to: "reviews")
        ).mesh()
        #expect(mesh.decide("GET /slow\nhost: reviews").timeout == 2_500_000_000)
        #expect(mesh.decide("GET /\nhost: reviews").timeout == 0)
    }
}
