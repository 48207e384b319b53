import Glibc
import Testing
import TrammelProxy

extension DataPathTests {
    @Suite("Requests that are refused", .serialized)
    struct BadRequestTests {
        static let shapes: [(name: String, request: String, status: Int)] = [
            (
                "length and chunks",
                "POST / HTTP/1.1\r\nHost: w\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400
            ),
            ("two lengths", "POST / HTTP/1.1\r\nHost: w\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", 400),
            (
                "the same length twice",
                "POST / HTTP/1.1\r\nHost: w\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nabcd", 400
            ),
            ("a list of lengths", "POST / HTTP/1.1\r\nHost: w\r\nContent-Length: 4, 4\r\n\r\nabcd", 400),
            ("a length with a sign", "POST / HTTP/1.1\r\nHost: w\r\nContent-Length: +4\r\n\r\nabcd", 400),
            (
                "chunked twice", "POST / HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
                400
            ),
            (
                "chunked with a tab before it",
                "POST / HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: \u{0B}chunked\r\n\r\n0\r\n\r\n", 400
            ),
            ("another coding", "POST / HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
            ("chunks in HTTP/1.0", "POST / HTTP/1.0\r\nHost: w\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
            ("a bare line feed", "GET / HTTP/1.1\nHost: w\n\n", 400),
            ("a bare line feed in a field", "GET / HTTP/1.1\r\nHost: w\r\nA: b\nC: d\r\n\r\n", 400),
            ("a folded field", "GET / HTTP/1.1\r\nHost: w\r\nA: b\r\n c\r\n\r\n", 400),
            ("a NUL", "GET / HTTP/1.1\r\nHost: w\r\nA: b\0c\r\n\r\n", 400),
            ("a space before the colon", "GET / HTTP/1.1\r\nHost: w\r\nTransfer-Encoding : chunked\r\n\r\n", 400),
            ("no Host", "GET / HTTP/1.1\r\n\r\n", 400),
            ("two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            ("no request at all", "\u{16}\u{03}\u{01}hello\r\n\r\n", 400),
            ("another version", "GET / HTTP/2.0\r\nHost: w\r\n\r\n", 505),
            (
                "a head too large",
                "GET / HTTP/1.1\r\nHost: w\r\nA: " + String(repeating: "a", count: 70_000) + "\r\n\r\n", 431
            ),
            (
                "too many fields", "GET / HTTP/1.1\r\nHost: w\r\n" + String(repeating: "A: b\r\n", count: 200) + "\r\n",
                431
            ),
        ]

        @Test(
            "each gets its status and a closed connection, alone or behind a good one; nothing of it goes on",
            arguments: shapes.indices, [false, true])
        func refused(_ index: Int, afterGood: Bool) async throws {
            let shape = Self.shapes[index]
            let server = try TestServer { peer, _ in
                while true {
                    do { _ = try peer.readMessage() } catch Peer.Failure.ended("") { return }
                    try peer.send(ok("good"))
                }
            }
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let client = try rig.connect()
                if afterGood {
                    try client.send(get())
                    #expect(try client.readMessage().text == "good")
                }
                // What would be smuggled.
                try client.send(shape.request + get("/smuggled"))
                let response = try client.readMessage()
                #expect(response.status == shape.status, "\(shape.name)")
                #expect(response["connection"] == "close", "\(shape.name)")
                #expect(try client.isAtEnd(), "\(shape.name)")
                client.close()
                try await rig.untilIdle()
                let log = try await rig.log(afterGood ? 2 : 1)
                #expect(log.count == (afterGood ? 2 : 1))
                #expect(log.last?["reason"] == "invalid_request")
                #expect(log.last?["response_flags"] == "DPE")
            }
            #expect(server.accepted == (afterGood ? 1 : 0))
            #expect(server.failures.isEmpty)
        }

        @Test("a bad chunk in the middle of a body ends both connections", arguments: ["xyz\r\n", "5\r\nabcdefg\r\n"])
        func badChunk(_ chunk: String) async throws {
            let server = try TestServer { peer, _ in
                #expect(throws: Peer.Failure.self) { try peer.readMessage() }
            }
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let client = try rig.connect()
                try client.send("POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
                try await eventually("the upstream is dialled") { server.accepted == 1 }
                try client.send(chunk + get("/smuggled"))
                let response = try client.readMessage()
                #expect(response.status == 400)
                #expect(response["connection"] == "close")
                #expect(try client.isAtEnd())
                #expect(try await rig.log()[0]["reason"] == "invalid_request")
            }
            #expect(server.failures.isEmpty)
        }

        @Test("a head that does not arrive in time is answered 408, however steadily it trickles")
        func slowHead() async throws {
            var settings = ProxySettings()
            settings.headTimeout = 400_000_000
            let mesh = Mesh().service("web", at: 9).routes("web", .respond(200, "ok"))
            try await Rig.run(mesh, settings: settings) { rig in
                let client = try rig.connect()
                // A good request first: the deadline is that of a head, not of the connection.
                try client.send(get())
                #expect(try client.readMessage().status == 200)
                try await Task.sleep(nanoseconds: 600_000_000)
                let begin = ContinuousClock.now
                let trickle = startThread {
                    for byte in get("/slow", "A: " + String(repeating: "a", count: 200) + "\r\n").utf8 {
                        guard (try? client.send([byte])) != nil else { return }
                        usleep(20_000)
                    }
                }
                let response = try client.readMessage()
                let taken = ContinuousClock.now - begin
                #expect(response.status == 408)
                #expect(response["connection"] == "close")
                #expect(taken >= .milliseconds(400) && taken < .milliseconds(1500))
                #expect(try await rig.log(2).last?["reason"] == "client_timeout")
                pthread_join(trickle, nil)
            }
        }

        @Test("a head that came in time is not held to the deadline of heads any more")
        func slowAnswer() async throws {
            var settings = ProxySettings()
            settings.headTimeout = 200_000_000
            let server = try TestServer { peer, _ in
                _ = try peer.readMessage()
                usleep(600_000)
                try peer.send(ok("late"))
                _ = try peer.isAtEnd()
            }
            try await Rig.run(Mesh().service("web", at: server.port), settings: settings) { rig in
                let client = try rig.connect()
                let request = get()
                try client.send(String(request.prefix(10)))
                usleep(50_000)
                try client.send(String(request.dropFirst(10)))
                #expect(try client.readMessage().text == "late")
            }
        }

        @Test("a connection on which nothing happens is closed after the idle time")
        func idle() async throws {
            var settings = ProxySettings()
            settings.idleTimeout = 300_000_000
            let mesh = Mesh().service("web", at: 9).routes("web", .respond(200, "ok"))
            try await Rig.run(mesh, settings: settings) { rig in
                let client = try rig.connect()
                try client.send(get())
                #expect(try client.readMessage().status == 200)
                let begin = ContinuousClock.now
                #expect(try client.isAtEnd())
                #expect(ContinuousClock.now - begin >= .milliseconds(290))
            }
        }
    }
}
