import Glibc
import Testing
import TrammelConfig

extension DataPathTests {
    @Suite("What routes do to messages", .serialized)
    struct RoutingTests {
        /// Answers with the head of each request as its body.
        private func mirror(_ fields: String = "") throws -> TestServer {
            try TestServer { peer, _ in
                while true {
                    let request: Message
                    do { request = try peer.readMessage() } catch Peer.Failure.ended("") { return }
                    try peer.send(ok(request.head, fields))
                }
            }
        }

        @Test("fields for one hop, those that Connection names included, are not passed on, either way")
        func hopByHop() async throws {
            let server = try mirror(
                "Connection: X-Mine, keep-alive\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nX-Kept: 2\r\n"
            )
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let response = try rig.exchange(
                    get(
                        "/",
                        "Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 300\r\nProxy-Connection: keep-alive\r\n"
                            + "TE: trailers\r\nX-Stays: 1\r\n"))
                let seen = response.text.lowercased()
                for gone in ["connection:", "x-hop", "keep-alive", "\r\nte:"] {
                    #expect(!seen.contains(gone), "\(gone)")
                }
                #expect(seen.contains("\r\nx-stays: 1\r\n"))
                #expect(response["x-mine"] == nil)
                #expect(response["keep-alive"] == nil)
                #expect(response["proxy-connection"] == nil)
                #expect(response["x-kept"] == "2")
            }
        }

        @Test("an absolute target becomes a path, and its authority the Host")
        func absoluteForm() async throws {
            let server = try mirror()
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let response = try rig.exchange("GET http://web/a?b=c HTTP/1.1\r\nHost: other\r\n\r\n")
                #expect(response.text.hasPrefix("GET /a?b=c HTTP/1.1\r\nhost: web\r\n"))
                #expect(!response.text.contains("other"))
            }
        }

        @Test("a request id is made where there is none, and kept where there is one")
        func requestID() async throws {
            let server = try mirror()
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let made = try rig.exchange(get()).text
                #expect(
                    made.contains(
                        /\r\nx-request-id: [0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\r\n/))
                let kept = try rig.exchange(get("/", "X-Request-Id: mine\r\n")).text
                #expect(kept.contains("\r\nX-Request-Id: mine\r\n"))
                #expect(!kept.contains("x-request-id:"))
                let log = try await rig.log(2)
                #expect(log[1]["request_id"] == "mine")
            }
        }

        @Test("headers are set, added and removed on the way there and back")
        func headerOperations() async throws {
            let server = try mirror("X-Secret: 1\r\nX-Old: 1\r\n")
            let operations = HeaderOperations(
                request: .init(
                    set: [.init(name: "x-user", value: "new")], add: [.init(name: "x-more", value: "2")],
                    remove: ["x-gone"]),
                response: .init(
                    set: [.init(name: "x-old", value: "2")], add: [.init(name: "x-added", value: "3")],
                    remove: ["x-secret"]))
            let mesh = Mesh().service("web", at: server.port).routes("web", .route(to: "web", headers: operations))
            try await Rig.run(mesh) { rig in
                let response = try rig.exchange(get("/", "X-User: old\r\nX-More: 1\r\nX-Gone: 1\r\n"))
                let seen = response.text.lowercased()
                #expect(seen.contains("\r\nx-user: new\r\n") && !seen.contains("old"))
                #expect(seen.contains("\r\nx-more: 1\r\n") && seen.contains("\r\nx-more: 2\r\n"))
                #expect(!seen.contains("x-gone"))
                #expect(response["x-old"] == "2")
                #expect(response["x-added"] == "3")
                #expect(response["x-secret"] == nil)
            }
        }

        @Test("path and authority are rewritten; the log keeps what was asked")
        func rewrite() async throws {
            let server = try mirror()
            let mesh = Mesh().service("web", at: server.port).routes(
                "web", .route(.prefix("/api/"), to: "web", rewrite: Rewrite(uri: "/v2/", authority: "inner.example")))
            try await Rig.run(mesh) { rig in
                let response = try rig.exchange(get("/api/items?q=1"))
                #expect(response.text.hasPrefix("GET /v2/items?q=1 HTTP/1.1\r\n"))
                #expect(response.text.lowercased().contains("\r\nhost: inner.example\r\n"))
                #expect(try await rig.log()[0]["path"] == "/api/items?q=1")
            }
        }

        @Test("redirects and direct responses are given on the spot, to HEAD without their bodies")
        func local() async throws {
            let mesh = Mesh().service("web", at: 9).routes(
                "web", .redirect(.exact("/old"), Redirect(uri: "/new", authority: "there.example", code: 308)),
                .respond(.exact("/tea"), 418, "short and stout"))
            try await Rig.run(mesh) { rig in
                let client = try rig.connect()
                try client.send(get("/old") + "HEAD /tea HTTP/1.1\r\nHost: web\r\n\r\n" + get("/tea") + get("/none"))
                let redirect = try client.readMessage()
                #expect(redirect.status == 308)
                #expect(redirect["location"] == "http://there.example/new")
                let head = try client.readMessage(bodiless: true)
                #expect(head["content-length"] == "15")
                #expect(try client.readMessage().text == "short and stout")
                #expect(try client.readMessage().status == 404)
                let log = try await rig.log(4)
                #expect(log[0]["reason"] == "answered_locally")
                #expect(log[3]["response_flags"] == "NR")
            }
        }

        @Test("a body behind a request that is answered on the spot is not taken for a request")
        func localWithBody() async throws {
            let mesh = Mesh().service("web", at: 9).routes("web", .respond(200, "no"))
            try await Rig.run(mesh) { rig in
                let client = try rig.connect()
                let inner = get("/smuggled")
                try client.send("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: \(inner.utf8.count)\r\n\r\n\(inner)")
                let response = try client.readMessage()
                #expect(response.text == "no")
                #expect(response["connection"] == "close")
                #expect(try client.isAtEnd())
                #expect(try await rig.log().count == 1)
            }
        }

        @Test("a new snapshot decides the next request of an open connection")
        func publish() async throws {
            let server = try mirror()
            let mesh = Mesh().service("web", at: server.port)
            try await Rig.run(mesh) { rig in
                let client = try rig.connect()
                try client.send(get())
                #expect(try client.readMessage().status == 200)
                await rig.dataPlane.publish(mesh.routes("web", .respond(503, "closed")).snapshot(version: 2))
                try client.send(get())
                #expect(try client.readMessage().text == "closed")
            }
        }
    }
}
