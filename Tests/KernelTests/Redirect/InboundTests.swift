import Glibc
import Testing
import TrammelCore
import TrammelTestSupport

@testable import TrammelCapture

/// What comes to a workload from outside its namespace reaches the agent first, with the client's address and the
/// address that it dialled.
@Suite(.kernel) struct InboundTests {
    @Test(arguments: CapturedPod.everyWay) func clientAndDestinationAreKnown(mode: CaptureWay) throws {
        let world = try PodWorld()
        let server = try world.pod.serve("::", 8080, "escaped")
        let acceptor = try world.captured(mode).acceptor
        for (host, client) in [(PodWorld.pod4, PodWorld.outside4), (PodWorld.pod6, PodWorld.outside6)] {
            let dialled = try world.outside.dial(host, 8080, "source=\(client)", "sport=33333")
            let accepted = acceptor.next()
            let v6 = host.contains(":")
            #expect(accepted?.direction == .inbound)
            #expect(accepted?.destination == (v6 ? "[\(host)]:8080" : "\(host):8080"))
            #expect(accepted?.client == (v6 ? "[\(client)]:33333" : "\(client):33333"))
            #expect(dialled.finish() == "captured\n")
        }
        // A port on which nobody listens is the agent's to answer too.
        let dialled = try world.outside.dial(PodWorld.pod4, 9)
        #expect(acceptor.next()?.destination == "\(PodWorld.pod4):9")
        dialled.finish()
        server.stop()
        #expect(server.finish().isEmpty)
    }

    /// A reset in answer to a packet that conntrack finds invalid would end a connection that is well: no answer.
    @Test func invalidPacketsGetNoAnswer() throws {
        let world = try PodWorld()
        let captured = try world.captured(.redirect)
        // Sends TCP heads with the given flags from a port that no socket has, and prints what comes back.
        let program = """
            import socket, struct, sys
            here, there, base = "192.0.2.10", "10.77.1.2", int(sys.argv[1])
            s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
            s.bind((here, 0)); s.settimeout(1)
            def total(data):
                t = sum(struct.unpack(f"!{len(data) // 2}H", data))
                while t >> 16: t = (t & 0xffff) + (t >> 16)
                return ~t & 0xffff
            for port, flags in ((base, 0x02), (base + 1, 0x10), (base + 2, 0x13)):
                head = lambda sum: struct.pack("!HHIIBBHHH", port, 8080, 1, 0, 5 << 4, flags, 1024, sum, 0)
                pseudo = socket.inet_aton(here) + socket.inet_aton(there) + struct.pack("!HH", 6, 20)
                s.sendto(head(total(pseudo + head(0))), (there, 0))
                try:
                    while True:
                        got = s.recv(100)
                        got = got[(got[0] & 15) * 4:]
                        if struct.unpack("!HH", got[:4]) == (8080, port): break
                    print(f"{flags:#x}: {got[13]:#x}")
                except TimeoutError: print(f"{flags:#x}: nothing")
            """
        // SYN has its SYN-ACK, an ACK of nothing its RST; SYN, FIN and ACK at once have nothing, and they would.
        #expect(try world.outside.python(program, "50000").finish() == "0x2: 0x12\n0x10: 0x4\n0x13: nothing\n")
        let rules = try captured.capture.rules(of: CapturedPod.id).text
        #expect(rules.contains(/ct state invalid counter packets [1-9]/), "\(rules)")
        try captured.capture.uninstall(CapturedPod.id)
        let server = try world.pod.serve("0.0.0.0", 8080)
        #expect(try world.outside.python(program, "50010").finish() == "0x2: 0x12\n0x10: 0x4\n0x13: 0x4\n")
        server.stop()
    }

    @Test(arguments: CapturedPod.ways) func manyBytesAndAResetGoBackOut(mode: CaptureWay) throws {
        let world = try PodWorld()
        let acceptor = try world.captured(mode).acceptor
        let program = """
            import socket, sys
            s = socket.create_connection((sys.argv[1], 8080), 5)
            got = 0
            while got < 300000: got += len(s.recv(65536))
            print(got)
            try: s.recv(1); print("end")
            except ConnectionResetError: print("reset")
            """
        for host in [PodWorld.pod4, PodWorld.pod6] {
            let client = try world.outside.python(program, host)
            let (socket, _) = try #require(acceptor.take())
            let bytes = [UInt8](repeating: 7, count: 300_000)
            var sent = 0
            while sent < bytes.count {
                let count = bytes[sent...].withUnsafeBytes {
                    send(socket, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
                }
                try #require(count > 0)
                sent += count
            }
            #expect(client.line() == "300000")
            var abrupt = linger(l_onoff: 1, l_linger: 0)
            setsockopt(socket, SOL_SOCKET, SO_LINGER, &abrupt, socklen_t(MemoryLayout<linger>.size))
            close(socket)
            #expect(client.line() == "reset")
        }
    }

    @Test(arguments: CapturedPod.ways) func whatIsExcludedPassesBothWays(mode: CaptureWay) throws {
        let world = try PodWorld()
        let servers = try [22, 8080].map { try world.pod.serve("::", $0, "direct") }
        let acceptor = try world.captured(mode) {
            $0.excludedInboundPorts = [22]
            $0.excludedInboundSources = [CIDR(PodWorld.outside4), CIDR(PodWorld.outside6)].compactMap { $0 }
        }.acceptor
        for (pod, probe) in [(PodWorld.pod4, PodWorld.outside4), (PodWorld.pod6, PodWorld.outside6)] {
            #expect(try world.outside.dial(pod, 22).finish().hasPrefix("direct "), "\(pod)")
            #expect(try world.outside.dial(pod, 8080, "source=\(probe)").finish().hasPrefix("direct "), "\(pod)")
            let other = try world.outside.dial(pod, 8080)
            #expect(acceptor.next()?.destination.hasSuffix(":8080") == true)
            #expect(other.finish() == "captured\n")
        }
        for server in servers { server.stop() }
    }

    @Test(arguments: CapturedPod.ways) func onlyIncludedPortsAreCaptured(mode: CaptureWay) throws {
        let world = try PodWorld()
        let servers = try [8080, 8081].map { try world.pod.serve("0.0.0.0", $0, "direct") }
        let acceptor = try world.captured(mode) { $0.includedInboundPorts = [8080] }.acceptor
        #expect(try world.outside.dial(PodWorld.pod4, 8081).finish().hasPrefix("direct "))
        let client = try world.outside.dial(PodWorld.pod4, 8080)
        #expect(acceptor.next()?.destination == "\(PodWorld.pod4):8080")
        #expect(client.finish() == "captured\n")
        for server in servers { server.stop() }
    }

    /// What an exclusion lets in must not let an application out: its own connections are captured from any port.
    @Test(arguments: CapturedPod.ways) func anExcludedPortIsNoWayOut(mode: CaptureWay) throws {
        let world = try PodWorld()
        let server = try world.outside.serve(PodWorld.outside4, 80, "escaped")
        let acceptor = try world.captured(mode) { $0.excludedInboundPorts = [22] }.acceptor
        for options in [
            ["source=\(PodWorld.pod4)", "sport=22"], ["source=\(PodWorld.pod4)", "sport=22", "mark=0x53a"],
        ] {
            let client = try world.pod.start(
                ["python3", "-c", Play.client, PodWorld.outside4, "80"] + options + ["wait=1"])
            _ = acceptor.next(seconds: 1)
            #expect(!client.finish().contains("escaped"), "\(options)")
        }
        server.stop()
    }

    @Test(arguments: CapturedPod.ways) func withoutAnAgentConnectionsAreRefused(mode: CaptureWay) throws {
        let world = try PodWorld()
        let server = try world.pod.serve("0.0.0.0", 8080, "escaped")
        do { _ = try world.captured(mode).capture.close(CapturedPod.id) }
        // What comes in always comes by tproxy.
        let expected = mode.backend == .nftables ? "ECONNREFUSED\n" : "timeout\n"
        #expect(try world.outside.dial(PodWorld.pod4, 8080, "wait=1").finish() == expected)
        server.stop()
    }

    /// The agent died and came back: peers of its old connections are told so at once, in the way of TCP.
    @Test(arguments: CapturedPod.ways) func peersOfADeadAgentAreReset(mode: CaptureWay) throws {
        let world = try PodWorld()
        let captured = try world.captured(mode)
        let program = """
            import socket, sys
            s = socket.create_connection((sys.argv[1], 8080), 5)
            print("connected"); sys.stdin.readline()
            s.settimeout(5)
            try:
                s.sendall(b"x"); s.recv(1); print("end")
            except ConnectionResetError: print("reset")
            except socket.timeout: print("timeout")
            """
        let client = try world.outside.start(["python3", "-u", "-c", program, PodWorld.pod4], keepsInput: true)
        let (socket, _) = try #require(captured.acceptor.take())
        #expect(client.line() == "connected")
        // As if the process had gone: the socket vanishes without a word to the peer.
        var repair: CInt = 1
        try #require(setsockopt(socket, CInt(IPPROTO_TCP), TCP_REPAIR, &repair, 4) == 0)
        close(socket)
        client.tell("go\n")
        #expect(client.line() == "reset")
    }

    @Test(arguments: CapturedPod.ways) func connectionsOlderThanTheRulesLiveOn(mode: CaptureWay) throws {
        let world = try PodWorld()
        let echo = """
            import socket
            s = socket.create_server(("::", 8080), family=socket.AF_INET6, dualstack_ipv6=True)
            print("ready")
            while True:
                c, _ = s.accept()
                while True:
                    more = c.recv(100)
                    if not more: break
                    c.sendall(more)
            """
        let talker = """
            import socket, sys
            s = socket.create_connection((sys.argv[1], 8080), 5)
            s.sendall(b"one"); print(s.recv(100).decode())
            sys.stdin.readline()
            s.sendall(b"two"); print(s.recv(100).decode())
            """
        let server = try world.pod.python(echo)
        #expect(server.line() == "ready")
        for host in [PodWorld.pod4, PodWorld.pod6] {
            let client = try world.outside.start(["python3", "-u", "-c", talker, host], keepsInput: true)
            #expect(client.line() == "one")
            let captured = try world.captured(mode)
            client.tell("go\n")
            #expect(client.finish() == "two\n", "\(client.errors)")
            #expect(captured.acceptor.next(seconds: 0) == nil)
            try captured.capture.uninstall(CapturedPod.id)
        }
        server.stop()
    }
}
