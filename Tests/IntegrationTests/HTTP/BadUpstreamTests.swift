import Glibc
import Testing
import TrammelConfig
import TrammelCore
import TrammelProxy

extension DataPathTests {
    @Suite("Upstreams that misbehave", .serialized)
    struct BadUpstreamTests {
        static let garbage: [(name: String, response: String)] = [
            ("no HTTP", "SSH-2.0-OpenSSH_9.2\r\n"),
            (
                "length and chunks",
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            ),
            ("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc"),
            ("bare line feeds", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
            ("a folded field", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n"),
            ("a NUL", "HTTP/1.1 200 OK\r\nA: b\0\r\nContent-Length: 0\r\n\r\n"),
            ("a space before the colon", "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n"),
            ("a status of two digits", "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"),
            ("a head too large", "HTTP/1.1 200 OK\r\nA: " + String(repeating: "a", count: 70_000) + "\r\n\r\n"),
        ]

        @Test("an answer that is not HTTP/1 is 502, and the client's connection goes on", arguments: garbage.indices)
        func invalid(_ index: Int) async throws {
            let shape = Self.garbage[index]
            let server = try TestServer { peer, number in
                _ = try peer.readMessage()
                do { try peer.send(number == 1 ? shape.response : ok("good")) } catch Peer.Failure.reset {}
                _ = try peer.isAtEnd()
            }
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let client = try rig.connect()
                try client.send(get("/1"))
                #expect(try client.readMessage().status == 502, "\(shape.name)")
                try client.send(get("/2"))
                #expect(try client.readMessage().text == "good", "\(shape.name)")
                let log = try await rig.log(2)
                #expect(log[0]["reason"] == "invalid_response")
                #expect(log[0]["response_flags"] == "UPE")
            }
            // The bad connection was not used again.
            #expect(server.accepted == 2)
        }

        @Test("bytes behind an answer are nobody's, and their connection is not used again")
        func surplus() async throws {
            let server = try TestServer { peer, _ in
                _ = try peer.readMessage()
                try peer.send(ok("one") + ok("poison"))
                _ = try peer.isAtEnd()
            }
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let client = try rig.connect()
                for _ in 1...3 {
                    try client.send(get())
                    #expect(try client.readMessage().text == "one")
                }
            }
            #expect(server.accepted == 3)
        }

        @Test("a bad chunk in the middle of an answer breaks the client's connection off")
        func badChunk() async throws {
            let server = try TestServer { peer, _ in
                _ = try peer.readMessage()
                try peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
                usleep(50_000)
                try peer.send("zz\r\n")
                _ = try peer.isAtEnd()
            }
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let client = try rig.connect()
                try client.send(get())
                #expect(throws: Peer.Failure.self) { try client.readMessage() }
                #expect(try await rig.log()[0]["reason"] == "invalid_response")
            }
        }

        @Test("a refused connection is 503 UF")
        func refused() async throws {
            // Bound and not listening: nobody else can get the port meanwhile.
            let (descriptor, port) = try bound()
            defer { Glibc.close(descriptor) }
            try await Rig.run(Mesh().service("web", at: port)) { rig in
                let client = try rig.connect()
                for _ in 1...2 {
                    try client.send(get())
                    #expect(try client.readMessage().status == 503)
                }
                let log = try await rig.log(2)
                #expect(log.allSatisfy { $0["response_flags"] == "UF" && $0["reason"] == "connect_failed" })
            }
        }

        @Test("another endpoint is tried once when the first refuses")
        func refusedOnce() async throws {
            let server = try TestServer { peer, _ in
                while true {
                    do { _ = try peer.readMessage() } catch Peer.Failure.ended("") { return }
                    try peer.send(ok("here"))
                }
            }
            // 127.0.0.2 refuses the server's port.
            let mesh = Mesh().service("web", at: server.port, on: ["127.0.0.1", "127.0.0.2"])
            try await Rig.run(mesh) { rig in
                let client = try rig.connect()
                for _ in 1...10 {
                    try client.send("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 2\r\n\r\nhi")
                    #expect(try client.readMessage().text == "here")
                }
            }
        }

        @Test("no endpoint at all is 503 UH")
        func none() async throws {
            try await Rig.run(Mesh().service("web", at: 9, on: [])) { rig in
                let response = try rig.exchange(get())
                #expect(response.status == 503)
                let log = try await rig.log()
                #expect(log[0]["response_flags"] == "UH")
                #expect(log[0]["reason"] == "no_upstream")
            }
        }

        @Test("a connection that is not made in time is 503 UF")
        func connectTimeout() async throws {
            // A full backlog drops what else comes.
            let (listener, port) = try listenOnLoopback(backlog: 0)
            defer { Glibc.close(listener) }
            let filler = try (0..<1).map { _ in try Peer(connectingTo: port) }
            let mesh = Mesh().service("web", at: port, connectTimeout: 300_000_000)
            try await Rig.run(mesh) { rig in
                let begin = ContinuousClock.now
                let response = try rig.exchange(get())
                #expect(response.status == 503)
                #expect(ContinuousClock.now - begin >= .milliseconds(300))
                #expect(try await rig.log()[0]["response_flags"] == "UF")
            }
            _ = filler
        }

        @Test("an upstream that resets, or closes, before it answers is 503 UC", arguments: [true, false])
        func gone(byReset: Bool) async throws {
            let server = try TestServer { peer, _ in
                _ = try peer.readMessage()
                if byReset { peer.reset() }
            }
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let response = try rig.exchange(get())
                #expect(response.status == 503)
                let log = try await rig.log()
                #expect(log[0]["response_flags"] == "UC")
                #expect(log[0]["reason"] == (byReset ? "upstream_reset" : "upstream_closed"))
            }
            // It had the request; it does not get it again.
            #expect(server.accepted == 1)
        }

        @Test("an answer that breaks off is not completed", arguments: [true, false])
        func brokenOff(byReset: Bool) async throws {
            let server = try TestServer { peer, _ in
                _ = try peer.readMessage()
                try peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
                usleep(50_000)
                if byReset { peer.reset() }
            }
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let client = try rig.connect()
                try client.send(get())
                #expect(try client.receive(until: "half").hasSuffix("half"))
                #expect(try client.isAtEnd())
                let log = try await rig.log()
                #expect(log[0]["response_flags"] == "UC")
                #expect(log[0]["response_code_details"] == "upstream_reset_after_response_started")
            }
        }

        @Test("an idle connection that the server closes as it is used: repeated once, if that changes nothing")
        func staleConnection() async throws {
            let server = try TestServer { peer, number in
                // The first connection serves one request, and closes on the next one without a word.
                let request = try peer.readMessage()
                try peer.send(ok("\(number):" + request.first))
                if number == 1 {
                    _ = try peer.readMessage()
                } else {
                    while true {
                        do { _ = try peer.readMessage() } catch Peer.Failure.ended("") { return }
                        try peer.send(ok("\(number)"))
                    }
                }
            }
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let client = try rig.connect()
                try client.send(get("/1"))
                #expect(try client.readMessage().text.hasPrefix("1:"))
                try client.send(get("/2"))
                #expect(try client.readMessage().text == "2:GET /2 HTTP/1.1")
                let log = try await rig.log(2)
                #expect(log[1]["response_code"] == "200")
            }
            #expect(server.accepted == 2)
        }

        @Test("a POST is not repeated")
        func staleConnectionPost() async throws {
            let server = try TestServer { peer, _ in
                _ = try peer.readMessage()
                try peer.send(ok("first"))
                _ = try peer.readMessage()
            }
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let client = try rig.connect()
                try client.send(get())
                #expect(try client.readMessage().text == "first")
                try client.send("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 2\r\n\r\nhi")
                #expect(try client.readMessage().status == 503)
            }
            #expect(server.accepted == 1)
        }

        @Test("a timeout is 504 UT, and the hanging connection is not used again")
        func timeout() async throws {
            let server = try TestServer { peer, number in
                _ = try peer.readMessage()
                if number > 1 { try peer.send(ok("second")) }
                _ = try peer.isAtEnd()
            }
            let mesh = Mesh().service("web", at: server.port)
                .routes("web", .route(to: "web", timeout: 300_000_000))
            try await Rig.run(mesh) { rig in
                let client = try rig.connect()
                let begin = ContinuousClock.now
                try client.send(get())
                #expect(try client.readMessage().status == 504)
                let taken = ContinuousClock.now - begin
                #expect(taken >= .milliseconds(300) && taken < .milliseconds(900))
                try client.send(get())
                #expect(try client.readMessage().text == "second")
                let log = try await rig.log(2)
                #expect(log[0]["response_flags"] == "UT")
                #expect(log[0]["reason"] == "upstream_timeout")
            }
            #expect(server.accepted == 2)
        }

        @Test("a timeout in the middle of an answer breaks it off")
        func timeoutInAnswer() async throws {
            let server = try TestServer { peer, _ in
                _ = try peer.readMessage()
                try peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
                _ = try peer.isAtEnd()
            }
            let mesh = Mesh().service("web", at: server.port)
                .routes("web", .route(to: "web", timeout: 300_000_000))
            try await Rig.run(mesh) { rig in
                let client = try rig.connect()
                try client.send(get())
                _ = try client.receive(until: "half")
                #expect(try client.isAtEnd())
                #expect(try await rig.log()[0]["reason"] == "upstream_timeout")
            }
        }

        @Test("an upstream that hangs is given up after the idle time, where no route has a timeout")
        func hangs() async throws {
            var settings = ProxySettings()
            settings.idleTimeout = 300_000_000
            let server = try TestServer { peer, _ in
                _ = try peer.readMessage()
                _ = try peer.isAtEnd()
            }
            try await Rig.run(Mesh().service("web", at: server.port), settings: settings) { rig in
                let begin = ContinuousClock.now
                let response = try rig.exchange(get())
                #expect(response.status == 504)
                #expect(ContinuousClock.now - begin >= .milliseconds(300))
                let log = try await rig.log()
                #expect(log[0]["reason"] == "idle_timeout")
                #expect(log[0]["response_code_details"] == "stream_idle_timeout")
            }
        }

        @Test("a server that answers more slowly than the idle time, but steadily, is not given up")
        func trickles() async throws {
            var settings = ProxySettings()
            settings.idleTimeout = 300_000_000
            let server = try TestServer { peer, _ in
                _ = try peer.readMessage()
                try peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
                for _ in 0..<10 {
                    usleep(100_000)
                    try peer.send("x")
                }
                _ = try peer.isAtEnd()
            }
            try await Rig.run(Mesh().service("web", at: server.port), settings: settings) { rig in
                let response = try rig.exchange(get())
                #expect(response.body.count == 10)
            }
        }

        private func bound() throws -> (CInt, UInt16) {
            let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
            guard withLoopback("127.0.0.1", 0, { Glibc.bind(descriptor, $0, $1) }) == 0 else {
                throw Peer.Failure.system(call: "bind", errno)
            }
            return (descriptor, localPort(of: descriptor))
        }
    }
}
