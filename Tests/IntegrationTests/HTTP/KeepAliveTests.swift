import Testing

extension DataPathTests {
    @Suite("Keep-alive and pipelining", .serialized)
    struct KeepAliveTests {
        @Test("requests on one connection share one upstream connection")
        func reuse() async throws {
            let server = try TestServer { peer, _ in
                while true {
                    let request: Message
                    do { request = try peer.readMessage() } catch Peer.Failure.ended("") { return }
                    try peer.send(ok(request.first))
                }
            }
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let client = try rig.connect()
                for number in 1...5 {
                    try client.send(get("/\(number)"))
                    let response = try client.readMessage()
                    #expect(response.text == "GET /\(number) HTTP/1.1")
                    #expect(response["connection"] == nil)
                }
                client.close()
                try await rig.untilIdle()
                // Another client's request takes the connection out of the pool.
                #expect(try rig.exchange(get("/6")).text == "GET /6 HTTP/1.1")
                let log = try await rig.log(6)
                #expect(log.map { $0["path"] } == (1...6).map { "/\($0)" })
                #expect(log.allSatisfy { $0["reason"] == "completed" && $0["response_code"] == "200" })
            }
            #expect(server.accepted == 1)
            #expect(server.failures.isEmpty)
        }

        @Test("requests in one write are answered in order, the agent's own answers among them")
        func pipelining() async throws {
            let server = try TestServer { peer, _ in
                while true {
                    let request: Message
                    do { request = try peer.readMessage() } catch Peer.Failure.ended("") { return }
                    try peer.send(ok("up:" + request.text))
                }
            }
            let mesh = Mesh().service("web", at: server.port)
                .routes("web", .respond(.exact("/local"), 418, "short"), .route(to: "web"))
            try await Rig.run(mesh) { rig in
                let client = try rig.connect()
                let post = "POST /b HTTP/1.1\r\nHost: web\r\nContent-Length: 3\r\n\r\nxyz"
                try client.send(get("/local") + get("/a") + get("/local") + post + get("/local") + get("/c"))
                let answers = try (1...6).map { _ in try client.readMessage() }
                #expect(answers.map(\.status) == [418, 200, 418, 200, 418, 200])
                #expect(answers.map(\.text) == ["short", "up:", "short", "up:xyz", "short", "up:"])
            }
            #expect(server.failures.isEmpty)
        }

        @Test("a client that ends its side behind several requests gets every answer")
        func halfClosedBehindPipeline() async throws {
            let server = try TestServer { peer, _ in
                while true {
                    let request: Message
                    do { request = try peer.readMessage() } catch Peer.Failure.ended("") { return }
                    try peer.send(ok(request.first))
                }
            }
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let client = try rig.connect()
                try client.send(get("/1") + get("/2") + get("/3"))
                client.finish()
                let answers = try client.receiveToEnd()
                for number in 1...3 { #expect(answers.contains("GET /\(number) HTTP/1.1")) }
            }
        }

        @Test("a request split into single bytes is put together")
        func byteByByte() async throws {
            let server = try TestServer { peer, _ in
                let request = try peer.readMessage()
                for byte in ok("got " + request.text).utf8 { try peer.send([byte]) }
                _ = try peer.isAtEnd()
            }
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let client = try rig.connect()
                for byte in "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\n\r\nabcd".utf8 {
                    try client.send([byte])
                }
                #expect(try client.readMessage().text == "got abcd")
            }
        }

        @Test("`Connection: close` is kept to, and not passed on")
        func closeAsked() async throws {
            let server = try TestServer { peer, _ in
                let request = try peer.readMessage()
                try peer.send(ok(request["connection"] ?? "none"))
                _ = try peer.isAtEnd()
            }
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let client = try rig.connect()
                try client.send(get("/", "Connection: close\r\n"))
                let response = try client.readMessage()
                #expect(response["connection"] == "close")
                #expect(response.text == "none")
                #expect(try client.isAtEnd())
            }
        }

        @Test("a client that reads slowly gets all that it asked for before it ended its side")
        func slowHalfClosedReader() async throws {
            let size = 4 << 20
            let server = try TestServer { peer, _ in
                _ = try peer.readMessage()
                try peer.send(ok(String(repeating: "x", count: size)))
                _ = try peer.isAtEnd()
            }
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let client = try rig.connect(window: 4096)
                try client.send(get())
                client.finish()
                // The agent has everything, or as much as it may hold, long before the first byte is read.
                try await Task.sleep(nanoseconds: 300_000_000)
                let count = try client.readMessage().body.count
                #expect(count == size)
                #expect(try client.isAtEnd())
            }
        }

        @Test("answers that nobody reads stop the agent from taking more requests")
        func pipelineWithoutReader() async throws {
            let body = String(repeating: "x", count: 100_000)
            let mesh = Mesh().service("web", at: 9).routes("web", .respond(200, body))
            try await Rig.run(mesh) { rig in
                let client = try rig.connect(window: 4096)
                client.setPatience(1)
                let requests = String(repeating: get(), count: 2_000)
                // 200 MB of answers were asked for; what is not read may not be asked for without end.
                var rounds = 0
                #expect(throws: Peer.Failure.self) {
                    while rounds < 100 {
                        try client.send(requests)
                        rounds += 1
                    }
                }
                let taken = await rig.dataPlane.connections().first?.bytesFromClient ?? .max
                #expect(taken < 256 << 10)
                // What the kernel's buffers hold, and one answer or two besides.
                let answered = try await rig.log().count
                #expect(answered < 100)
                // It goes on where it stopped.
                client.setPatience(10)
                for _ in 0..<200 {
                    let count = try client.readMessage().body.count
                    #expect(count == 100_000)
                }
            }
        }
    }
}
