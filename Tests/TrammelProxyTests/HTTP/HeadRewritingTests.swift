import NIOCore
import Testing
import TrammelConfig
import TrammelCore
import TrammelWire

@testable import TrammelProxy

@Suite("Heads as they go on")
struct HeadRewritingTests {
    private static let somewhere = SourceLocation(file: "mesh.yaml", line: 10)

    private static func route(
        rewrite: Rewrite? = nil, headers: HeaderOperations = HeaderOperations()
    ) -> HTTPRoute {
        HTTPRoute(
            match: [],
            action: .route([
                WeightedDestination(destination: Destination(host: "web", location: somewhere), weight: 0)
            ]),
            rewrite: rewrite, headers: headers, location: somewhere)
    }

    /// The head that goes upstream for one that came, its own fields left out that are the same for all.
    private func request(_ head: String, _ routes: [HTTPRoute] = [], keepsID: Bool = false) -> String {
        let handler = LoopFixture(routes).handler()
        let bytes = Array(head.replacing("\n", with: "\r\n").utf8)
        return bytes.withUnsafeBytes { bytes in
            guard case .complete = handler.head.parse(bytes, limits: HTTP1Limits()) else { return "not a request" }
            handler.head.withView(bytes) { view in
                handler.writeRequestHead(handler.route.decide(view, loop: handler.loop, entropy: 1), view, bytes)
            }
            var lines = String(buffer: handler.requestOut).split(separator: "\r\n", omittingEmptySubsequences: false)
            #expect(lines.removeLast() == "" && lines.removeLast() == "", "it ends with a blank line and nothing more")
            lines.removeAll { $0 == "x-forwarded-proto: http" || $0 == "x-envoy-attempt-count: 1" }
            if !keepsID { lines.removeAll { $0.hasPrefix("x-request-id: ") } }
            return lines.joined(separator: "\n")
        }
    }

    @Test("what came goes on as it came")
    func plain() {
        let head = "GET /a?b=c HTTP/1.1\nHost: web\nX-Odd:  a ,b\t\nCookie: 1\nCookie: 2"
        #expect(request(head + "\n\n") == head)
    }

    @Test("fields for one hop stay on it, those that Connection names among them")
    func hop() {
        #expect(
            request(
                """
                GET / HTTP/1.1
                Host: web
                Connection: keep-alive, X-Mine
                Keep-Alive: timeout=5
                Proxy-Connection: keep-alive
                TE: trailers
                X-Mine: secret
                X-Ours: shared
                Upgrade: h2c
                HTTP2-Settings: AAMA


                """) == "GET / HTTP/1.1\nHost: web\nX-Ours: shared")
    }

    @Test("the framing of the body stays, and cannot be named away")
    func framing() {
        #expect(
            request("POST / HTTP/1.1\nHost: web\nConnection: content-length\nContent-Length: 3\n\n")
                == "POST / HTTP/1.1\nHost: web\nContent-Length: 3")
        #expect(
            request("POST / HTTP/1.1\nHost: web\nTransfer-Encoding: chunked\n\n")
                == "POST / HTTP/1.1\nHost: web\nTransfer-Encoding: chunked")
    }

    @Test("an upgrade is asked for in the agent's own words")
    func upgrade() {
        #expect(
            request("GET /ws HTTP/1.1\nHost: web\nConnection: Upgrade, x\nX: 1\nUpgrade: websocket\n\n")
                == "GET /ws HTTP/1.1\nHost: web\nUpgrade: websocket\nconnection: upgrade")
    }

    @Test("an absolute target becomes origin form, and its authority the Host (RFC 9112 section 3.2.2)")
    func absolute() {
        #expect(
            request("GET http://other:81/p?q HTTP/1.1\nHost: web\nA: b\n\n")
                == "GET /p?q HTTP/1.1\nhost: other:81\nA: b")
    }

    @Test("a 1.0 request goes on as 1.1, with a Host")
    func http10() {
        #expect(request("GET /old HTTP/1.0\nA: b\n\n") == "GET /old HTTP/1.1\nhost: \nA: b")
    }

    @Test("routes set, add and remove fields, rewrite the path and the authority")
    func edits() {
        let headers = HeaderOperations(
            request: .init(
                set: [.init(name: "x-set", value: "new")], add: [.init(name: "x-add", value: "two")],
                remove: ["x-gone"]))
        #expect(
            request(
                "GET /a HTTP/1.1\nHost: web\nX-Set: old\nX-Add: one\nX-Gone: 1\nX-Stay: 1\n\n",
                [Self.route(rewrite: Rewrite(uri: "/b/", authority: "elsewhere"), headers: headers)])
                == "GET /b/a HTTP/1.1\nhost: elsewhere\nX-Add: one\nX-Stay: 1\nx-set: new\nx-add: two")
    }

    @Test("a request id is made where there is none, and kept where there is one")
    func requestID() {
        #expect(
            request("GET / HTTP/1.1\nHost: web\nX-Request-Id: mine\n\n", keepsID: true).hasSuffix("X-Request-Id: mine"))
        let made = request("GET / HTTP/1.1\nHost: web\n\n", keepsID: true).split(separator: "\n").last ?? ""
        #expect(made.hasPrefix("x-request-id: ") && made.utf8.count == 14 + RequestID.length)
    }

    // MARK: Responses

    private func response(
        _ head: String, http10: Bool = false, keepsAlive: Bool = true, isTunnel: Bool = false, dataOnly: Bool = false
    ) -> String {
        let handler = LoopFixture().handler()
        let asked = Array("GET / HTTP/1.\(http10 ? 0 : 1)\r\nHost: web\r\n\r\n".utf8)
        _ = asked.withUnsafeBytes { handler.head.parse($0, limits: HTTP1Limits()) }
        handler.keepsAlive = keepsAlive
        let bytes = Array(head.replacing("\n", with: "\r\n").utf8)
        return bytes.withUnsafeBytes { bytes in
            var head = ResponseHead()
            guard case .complete = head.parse(bytes, answering: .other, limits: HTTP1Limits()) else {
                return "not a response"
            }
            handler.writeResponseHead(head, bytes, isTunnel: isTunnel, dataOnly: dataOnly, .now())
            return String(buffer: handler.responseOut).replacing("\r\n", with: "\n")
        }
    }

    @Test("a response goes on as it came, less what is for one hop")
    func plainResponse() {
        #expect(
            response(
                "HTTP/1.1 200 Fine\nServer: a\nConnection: X-Mine\nX-Mine: 1\nKeep-Alive: x\nContent-Length: 2\n\n")
                == "HTTP/1.1 200 Fine\nServer: a\nContent-Length: 2\n\n")
    }

    @Test("what the client is told of its connection is the agent's own decision")
    func connection() {
        let head = "HTTP/1.0 200 OK\nContent-Length: 0\nConnection: close\n\n"
        #expect(response(head) == "HTTP/1.1 200 OK\nContent-Length: 0\n\n")
        #expect(response(head, keepsAlive: false) == "HTTP/1.1 200 OK\nContent-Length: 0\nconnection: close\n\n")
        #expect(response(head, http10: true) == "HTTP/1.1 200 OK\nContent-Length: 0\nconnection: keep-alive\n\n")
    }

    @Test("a client that knows no chunks is not told of them")
    func dataOnly() {
        #expect(
            response(
                "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nA: b\n\n", http10: true, keepsAlive: false, dataOnly: true
            )
                == "HTTP/1.1 200 OK\nA: b\nconnection: close\n\n")
    }

    @Test("Upgrade is passed on with 101 alone")
    func switching() {
        #expect(
            response("HTTP/1.1 101 Go\nUpgrade: websocket\nConnection: Upgrade\n\n", isTunnel: true)
                == "HTTP/1.1 101 Go\nUpgrade: websocket\nconnection: upgrade\n\n")
        #expect(
            response("HTTP/1.1 200 OK\nUpgrade: h2\nConnection: Upgrade\nContent-Length: 0\n\n")
                == "HTTP/1.1 200 OK\nContent-Length: 0\n\n")
    }
}
