import Glibc
import Testing
import TrammelCore
import TrammelTestSupport

@testable import TrammelCapture

/// The agent closes first and its socket is soon one that the kernel keeps in TIME_WAIT, without a cgroup. The other
/// side's FIN must still be answered by an ACK: one that is turned to the agent instead ends in a reset.
@Suite(.kernel) struct LastAckTests {
    /// Plays the side that closes second: prints what it got, and `closed` once its FIN is acknowledged.
    private static let second = """
        import socket, sys, time
        verb, host, port = sys.argv[1:]
        s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        s.settimeout(3)
        if verb == "serve":
            s.bind((host, int(port))); s.listen(1); print("ready")
            s, peer = s.accept()
            s.sendall(b"hello\\n")
        else:
            s.connect((host, int(port)))
        while True:
            more = s.recv(4096)
            if not more: break
            print(more.decode(), end="")
        # So long the agent's socket needs to become one of TIME_WAIT's.
        time.sleep(0.2)
        s.close()
        until = time.monotonic() + 2
        while time.monotonic() < until:
            lines = open("/proc/net/tcp").readlines()[1:] + open("/proc/net/tcp6").readlines()[1:]
            if not any(l.split()[3] == "09" for l in lines): break
            time.sleep(0.01)
        print("closed" if time.monotonic() < until else "LAST_ACK")
        """

    private func watchResets(_ namespace: TestNamespace) throws {
        try namespace.run(
            "nft",
            """
            add table inet watch; add chain inet watch in { type filter hook input priority 0; }
            add rule inet watch in tcp flags & rst == rst counter
            """)
    }

    private func resets(_ namespace: TestNamespace) throws -> Bool {
        try !namespace.run("nft", "list", "table", "inet", "watch").contains("counter packets 0 ")
    }

    @Test(arguments: CapturedPod.ways, [PodWorld.pod4, PodWorld.pod6])
    func ofAnInboundConnection(mode: CaptureWay, address: String) throws {
        let world = try PodWorld()
        let captured = try world.captured(mode)
        try watchResets(world.outside)
        let client = try world.outside.python(Self.second, "call", address, "9080")
        #expect(captured.acceptor.next()?.direction == .inbound)
        #expect(client.finish() == "captured\nclosed\n")
        #expect(try !resets(world.outside))
    }

    @Test(arguments: CapturedPod.ways, [PodWorld.outside4, PodWorld.outside6])
    func ofTheAgentsOwnCall(mode: CaptureWay, address: String) throws {
        let world = try PodWorld()
        let captured = try world.captured(mode)
        try watchResets(world.outside)
        let server = try world.outside.python(Self.second, "serve", address, "9080")
        #expect(server.line() == "ready")
        do {
            let upstream = try captured.dial(address, 9080)
            var bytes = [UInt8](repeating: 0, count: 16)
            #expect(recv(upstream.socket, &bytes, bytes.count, 0) == 6)
        }
        #expect(server.finish() == "closed\n")
        #expect(try !resets(world.outside))
    }
}
