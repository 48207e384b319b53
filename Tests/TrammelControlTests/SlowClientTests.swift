import Foundation
import NIOCore
import Testing
import TrammelControl
import TrammelControlAPI

@Suite("Clients that are slow, idle or many")
struct SlowClientTests {
    /// What a client sees until the server hangs up, as a script that prints it.
    private static func client(_ server: RunningServer, as user: User = .root, _ script: String) async throws -> String
    {
        let prologue = """
            import socket, sys, time
            def connect():
                s = socket.socket(socket.AF_UNIX); s.settimeout(60); s.connect(sys.argv[1]); return s
            def held():  # a connection that has been answered once, and so was counted
                s = connect(); s.sendall(b'GET /v1/status HTTP/1.1\\r\\nhost: a\\r\\n\\r\\n')
                answer = b''
                while not answer.endswith(b'}\\n'): answer += s.recv(65536)
                assert b' 200 ' in answer, answer
                return s
            def rest(s):
                out = b""
                try:
                    while chunk := s.recv(65536): out += chunk
                except ConnectionResetError: pass
                return out.decode()

            """
        let child = try await Child.run(user.prefix + ["/usr/bin/python3", "-c", prologue + script, server.socket])
        try #require(child.status == 0, "\(child.errors)")
        return child.output
    }

    @Test("a connection that says nothing, or half a head, is closed", arguments: ["", "GET /v1/sta"])
    func idle(bytes: String) async throws {
        var limits = ControlLimits()
        limits.idleTimeout = .milliseconds(200)
        try await RunningServer.with(limits: limits) { server async throws in
            let seen = try await Self.client(
                server, "s = connect(); s.sendall(b'\(bytes)'); print('closed', repr(rest(s)))")
            #expect(seen == "closed ''\n")
        }
    }

    @Test("a head that never ends is not waited for")
    func drippingHead() async throws {
        var limits = ControlLimits()
        limits.idleTimeout = .milliseconds(200)
        try await RunningServer.with(limits: limits) { server async throws in
            let seen = try await Self.client(
                server,
                """
                s = connect(); s.sendall(b'GET /v1/status HTTP/1.1\\r\\n')
                try:
                    for _ in range(400): s.sendall(b'x'); time.sleep(0.05)
                    print('still open')
                except (BrokenPipeError, ConnectionResetError): print('closed')
                """)
            #expect(seen == "closed\n")
        }
    }

    @Test("a body that drips is cut off at its deadline")
    func drippingBody() async throws {
        var limits = ControlLimits()
        limits.bodyDeadline = .milliseconds(300)
        try await RunningServer.with(limits: limits) { server async throws in
            let seen = try await Self.client(
                server,
                """
                s = connect()
                s.sendall(b'POST /v1/explain HTTP/1.1\\r\\nhost: a\\r\\ncontent-length: 9999\\r\\n\\r\\n')
                try:
                    for _ in range(400): s.sendall(b'x'); time.sleep(0.05)
                    print('still open')
                except (BrokenPipeError, ConnectionResetError): print('closed')
                """)
            #expect(seen == "closed\n")
        }
    }

    @Test("an answer that nobody reads is given up")
    func unreadAnswer() async throws {
        var limits = ControlLimits()
        limits.writeTimeout = .milliseconds(300)
        try await RunningServer.with(limits: limits) { server async throws in
            server.agent.expose([UInt8](repeating: UInt8(ascii: "#"), count: 8 << 20))
            let seen = try await Self.client(
                server,
                """
                import select
                s = connect(); s.sendall(b'GET /metrics HTTP/1.1\\r\\nhost: a\\r\\n\\r\\n')
                poll = select.poll(); poll.register(s, select.POLLHUP | select.POLLERR)
                print('hung up' if poll.poll(60000) else 'still open', len(rest(s)) < (8 << 20))
                """)
            #expect(seen == "hung up True\n")
        }
    }

    @Test("one user's connections are bounded and shut nobody else out")
    func manyConnections() async throws {
        var limits = ControlLimits()
        limits.connections = ConnectionLimits(root: 8, others: 6, perUser: 4)
        try await RunningServer.with(limits: limits) { server async throws in
            let seen = try await Self.client(
                server, as: .viewer,
                """
                four = [held() for _ in range(4)]
                fifth = rest(connect())
                print(fifth.split('\\r\\n')[0], 'too many connections' in fifth)
                four.pop().close()
                for _ in range(5000):
                    s = connect(); s.sendall(b'GET /v1/status HTTP/1.1\\r\\nhost: a\\r\\nconnection: close\\r\\n\\r\\n')
                    again = rest(s).split('\\r\\n')[0]
                    if '200' in again: break
                print(again)
                """)
            #expect(seen == "HTTP/1.1 503 Service Unavailable True\nHTTP/1.1 200 OK\n")
        }
    }

    @Test("root gets in while others hold all that they may")
    func rootGetsIn() async throws {
        var limits = ControlLimits()
        limits.connections = ConnectionLimits(root: 2, others: 2, perUser: 2)
        try await RunningServer.with(limits: limits) { server async throws in
            let gate = server.directory + "/gate"
            try #require(mkfifo(gate, 0o666) == 0 && chmod(gate, 0o666) == 0)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { () async throws in
                    _ = try await Self.client(
                        server, as: .viewer,
                        """
                        a, b = held(), held()
                        assert '503' in rest(connect())
                        open('\(gate)', 'w').close()  # both are held: the test goes on
                        open('\(gate)').read()
                        """)
                }
                group.addTask { () async throws in
                    _ = try await Child.run(["timeout", "60", "cat", gate])
                    #expect(try await Curl.ask("GET", "/v1/status", on: server).status == 200)
                    _ = try await Child.run(["timeout", "60", "sh", "-c", "echo go > \(gate)"])
                }
                try await group.waitForAll()
            }
        }
    }
}
