import Testing
import TrammelCore
import TrammelTestSupport

@testable import TrammelCapture

/// What sock_diag tells of a workload: readiness, and connections that capture came too late for.
@Suite(.kernel) struct SocketDiagnosticsTests {
    @Test func whoListensWhere() throws {
        let world = try PodWorld()
        let servers = try [
            ("0.0.0.0", 8001), ("127.0.0.1", 8002), (PodWorld.pod4, 8003), ("::", 8004), ("::1", 8005),
            (PodWorld.pod6, 8006),
        ].map { try world.pod.serve($0.0, $0.1) }
        let captured = try world.captured(.tproxy)
        let listening = try captured.capture.listeningSockets(of: CapturedPod.id)
        #expect(listening.ports == [8001, 8002, 8003, 8004, 8005, 8006, 15001, 15006])
        let pod4 = try #require(IPAddress(PodWorld.pod4))
        let pod6 = try #require(IPAddress(PodWorld.pod6))
        let expected: [UInt16: (v4: IPAddress?, v6: IPAddress?)] = [
            8001: (pod4, pod4), 8002: (.loopbackV4, .loopbackV4), 8003: (pod4, pod4), 8004: (pod4, pod6),
            8005: (.loopbackV6, .loopbackV6), 8006: (pod6, pod6), 8007: (nil, nil),
        ]
        for (port, address) in expected {
            #expect(listening.address(toDial: port, preferring: [pod4, pod6]) == address.v4, "\(port)")
            #expect(listening.address(toDial: port, preferring: [pod6, pod4]) == address.v6, "\(port)")
            #expect(listening.isListening(on: port) == (address.v4 != nil))
        }
        for server in servers { server.stop() }
        #expect(try captured.capture.listeningSockets(of: CapturedPod.id).ports == [15001, 15006])
    }

    static let talker = """
        import socket, sys
        s = socket.create_connection((sys.argv[1], 80), 5)
        print("connected")
        s.settimeout(5)
        try: print(s.recv(1) or "end")
        except OSError as e: print(type(e).__name__)
        """
    static let holder = """
        import socket, sys
        s = socket.create_server((sys.argv[1], 80), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
        print("ready")
        c, _ = s.accept()
        try: print(c.recv(1) or "end")
        except OSError as e: print(type(e).__name__)
        """

    @Test(arguments: CapturedPod.ways) func olderConnectionsAreAborted(mode: CaptureWay) throws {
        let world = try PodWorld()
        var ends: [(client: TestChild, server: TestChild)] = []
        for host in [PodWorld.outside4, PodWorld.outside6] {
            let server = try world.outside.python(Self.holder, host)
            #expect(server.line() == "ready")
            let client = try world.pod.python(Self.talker, host)
            #expect(client.line() == "connected")
            ends.append((client, server))
        }
        let captured = try world.captured(mode)
        #expect(try captured.capture.olderConnections(of: CapturedPod.id) == 2)
        #expect(try captured.capture.abortOlderConnections(of: CapturedPod.id) == 2)
        for (client, server) in ends {
            #expect(client.line() == "ConnectionAbortedError")
            #expect(server.line() == "ConnectionResetError")
        }
        #expect(try captured.capture.olderConnections(of: CapturedPod.id) == 0)
        #expect(try captured.capture.abortOlderConnections(of: CapturedPod.id) == 0)
        #expect(try captured.capture.rules(of: CapturedPod.id).drift == [])
    }

    @Test func endedConnectionsLeaveTheSet() throws {
        let world = try PodWorld()
        let server = try world.outside.python(Self.holder, PodWorld.outside4)
        #expect(server.line() == "ready")
        let client = try world.pod.python(Self.talker, PodWorld.outside4)
        #expect(client.line() == "connected")
        let captured = try world.captured(.tproxy)
        #expect(try captured.capture.olderConnections(of: CapturedPod.id) == 1)
        #expect(try world.pod.run("nft", "list", "ruleset").contains("@established4"))
        server.stop()
        client.finish()
        // Its end may still be under way.
        while try captured.capture.connections(of: CapturedPod.id).contains(where: { $0.remote.port == 80 }) {}
        while try captured.capture.olderConnections(of: CapturedPod.id) > 0 {}
        #expect(try !world.pod.run("nft", "list", "ruleset").contains("@established4"))
        #expect(try captured.capture.rules(of: CapturedPod.id).drift == [])
    }
}
