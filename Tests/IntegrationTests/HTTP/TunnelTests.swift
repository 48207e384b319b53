import Glibc
import Testing
import TrammelCore

extension DataPathTests {
    @Suite("Upgrades and tunnels", .serialized)
    struct TunnelTests {
        private static let asking = get("/ws", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n")
        private static let switching =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

        @Test("after 101 every byte passes both ways, those sent right behind the request included")
        func webSocket() async throws {
            let server = try TestServer { peer, _ in
                let request = try peer.readMessage()
                #expect(request["upgrade"] == "websocket")
                #expect(request["connection"]?.lowercased() == "upgrade")
                // Frames right behind the answer, in one write.
                try peer.send(Array(Self.switching.utf8) + [0x81, 0x00, 0xFF, 0x0D, 0x0A])
                #expect(try peer.receive(6) == [0x00, 0x01, 0x0D, 0x0A, 0x0D, 0x0A])
                try peer.send([0xFE])
                #expect(try peer.receive(2) == [0x88, 0x00])
                #expect(try peer.isAtEnd())
                try peer.send([0x88, 0x02])
            }
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let client = try rig.connect()
                try client.send(Array(Self.asking.utf8) + [0x00, 0x01, 0x0D, 0x0A, 0x0D, 0x0A])
                let response = try client.readMessage()
                #expect(response.status == 101)
                #expect(response["upgrade"] == "websocket")
                #expect(response["connection"] == "upgrade")
                #expect(try client.receive(6) == [0x81, 0x00, 0xFF, 0x0D, 0x0A, 0xFE])
                try client.send([0x88, 0x00])
                client.finish()
                #expect(try client.receive(2) == [0x88, 0x02])
                #expect(try client.isAtEnd())
                let log = try await rig.log()
                #expect(log[0]["reason"] == "completed")
                #expect(log[0]["response_code"] == "101")
                #expect(log[0]["bytes_received"] == "8")
                #expect(log[0]["bytes_sent"] == "8")
            }
            #expect(server.failures.isEmpty)
        }

        @Test("an upgrade that is declined is an answer like any other")
        func declined() async throws {
            let server = try TestServer { peer, _ in
                _ = try peer.readMessage()
                try peer.send(ok("no"))
                _ = try peer.readMessage()
                try peer.send(ok("next"))
                _ = try peer.isAtEnd()
            }
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let client = try rig.connect()
                try client.send(Self.asking + get())
                #expect(try client.readMessage().text == "no")
                #expect(try client.readMessage().text == "next")
            }
        }

        @Test("h2c is not passed on, nor are its settings")
        func h2c() async throws {
            let server = try TestServer { peer, _ in
                let request = try peer.readMessage()
                #expect(request["upgrade"] == nil)
                #expect(request["http2-settings"] == nil)
                #expect(request["connection"] == nil)
                try peer.send(ok("plain"))
                _ = try peer.isAtEnd()
            }
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let response = try rig.exchange(
                    get("/", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"))
                #expect(response.text == "plain")
            }
            #expect(server.failures.isEmpty)
        }

        @Test("101 to a request that asked for no upgrade is refused, not taken for a tunnel")
        func unasked() async throws {
            let server = try TestServer { peer, _ in
                _ = try peer.readMessage()
                try peer.send(Self.switching)
                _ = try peer.isAtEnd()
            }
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let response = try rig.exchange(get())
                #expect(response.status == 502)
            }
        }

        @Test("CONNECT makes a tunnel when the upstream says 2xx")
        func connect() async throws {
            let server = try TestServer { peer, _ in
                let head = try peer.receive(until: "\r\n\r\n")
                #expect(head.hasPrefix("CONNECT db.example:5432 HTTP/1.1\r\n"))
                try peer.send("HTTP/1.1 200 Connection established\r\n\r\nfirst")
                #expect(try peer.receive(4) == Array("ping".utf8))
                try peer.send("pong")
            }
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let client = try rig.connect()
                try client.send("CONNECT db.example:5432 HTTP/1.1\r\nHost: db.example:5432\r\n\r\n")
                let head = try client.receive(until: "\r\n\r\n")
                #expect(head.hasPrefix("HTTP/1.1 200 "))
                #expect(!head.lowercased().contains("content-length"))
                #expect(try client.receive(5) == Array("first".utf8))
                try client.send("ping")
                #expect(try client.receive(4) == Array("pong".utf8))
                #expect(try client.isAtEnd())
            }
            #expect(server.failures.isEmpty)
        }

        @Test("a tunnel's last bytes reach a slow reader", arguments: [true, false])
        func lastBytes(toClient: Bool) async throws {
            let size = 3 << 20
            let server = try TestServer { peer, _ in
                _ = try peer.readMessage()
                try peer.send(Self.switching)
                if toClient {
                    #expect(try peer.isAtEnd())
                    try peer.send([UInt8](repeating: 7, count: size))
                } else {
                    peer.finish()
                    usleep(400_000)
                    let count = try peer.receive(size).count
                    #expect(count == size)
                    #expect(try peer.isAtEnd())
                }
            }
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let client = try rig.connect(window: 4096)
                try client.send(Self.asking)
                #expect(try client.readMessage().status == 101)
                if toClient {
                    client.finish()
                    try await Task.sleep(nanoseconds: 400_000_000)
                    let count = try client.receive(size).count
                    #expect(count == size)
                    #expect(try client.isAtEnd())
                } else {
                    #expect(try client.isAtEnd())
                    try client.send([UInt8](repeating: 7, count: size))
                    client.finish()
                }
                #expect(try await rig.log()[0]["reason"] == "completed")
            }
            #expect(server.failures.isEmpty)
        }

        @Test("a client that ended its side before the upgrade was granted has its end passed on")
        func endedEarly() async throws {
            let server = try TestServer { peer, _ in
                _ = try peer.readMessage()
                usleep(50_000)
                try peer.send(Self.switching)
                #expect(try peer.receiveToEnd() == "early")
                try peer.send("bye")
            }
            try await Rig.run(Mesh().service("web", at: server.port)) { rig in
                let client = try rig.connect()
                try client.send(Self.asking + "early")
                client.finish()
                #expect(try client.readMessage().status == 101)
                #expect(try client.receiveToEnd() == "bye")
            }
            #expect(server.failures.isEmpty)
        }
    }
}
