import Glibc
import Testing
import TrammelCore
import TrammelTestSupport

@testable import TrammelCapture

/// What goes past the agent where redirect has the kernel track flows: counted, and told apart from what leaks.
@Suite(.kernel) struct FlowEventTests {
    private static func kinds(_ captured: CapturedPod) -> [FlowKind: FlowTotals] {
        captured.capture.flows.refresh()
        return captured.capture.flows.reports().first?.totals ?? [:]
    }

    /// Waits for an event that the kernel has told of and the reading thread has yet to see.
    private static func until(_ condition: () throws -> Bool) throws {
        let end = MonotonicTime.now().nanoseconds + 5_000_000_000
        while try !condition() {
            try #require(MonotonicTime.now().nanoseconds < end, "it did not happen within 5 s")
            usleep(2000)
        }
    }

    @Test(arguments: [PodWorld.outside4, PodWorld.outside6]) func everyKindOfFlowIsKnownAndNoneIsALeak(
        host: String
    ) throws {
        let world = try PodWorld()
        let older = try world.outside.python(SocketDiagnosticsTests.holder, host)
        #expect(older.line() == "ready")
        let speaker = """
            import socket, sys
            s = socket.create_connection((sys.argv[1], 80), 5); print("connected")
            sys.stdin.readline(); s.send(b"x"); sys.stdin.readline()
            """
        let before = try world.pod.start(["python3", "-u", "-c", speaker, host], keepsInput: true)
        #expect(before.line() == "connected")
        let captured = try world.captured(.redirect) {
            $0.capturesDNS = true
            $0.excludedOutboundPorts = [8080]
            $0.excludedInboundPorts = [8090]
        }
        let flows = captured.capture.flows
        let pod = host.contains(":") ? PodWorld.pod6 : PodWorld.pod4

        // Captured out and in, DNS, within the pod, and the agent's own onward connection.
        let out = try world.pod.dial(host, 81)
        #expect(captured.acceptor.next()?.direction == .outbound)
        out.finish()
        let inward = try world.outside.dial(pod, 8091)
        #expect(captured.acceptor.next()?.direction == .inbound)
        inward.finish()
        let resolver = try Resolver(captured)
        let query = try world.pod.start(["python3", "-u", "-c", Resolver.asker, host, "53", "x"], keepsInput: true)
        _ = try resolver.next()
        #expect(query.line() == "re: x")
        let server = try world.pod.serve(host.contains(":") ? "::1" : "127.0.0.1", 7000)
        #expect(try world.pod.dial(host.contains(":") ? "::1" : "127.0.0.1", 7000).finish().contains("hello"))
        let onward = try world.outside.serve(host, 82)
        #expect(try captured.dial(host, 82).readAll().contains("hello"))

        // Past the agent, as it should be.
        let excluded = try world.outside.serve(host, 8080)
        #expect(try world.pod.dial(host, 8080).finish().contains("hello"))
        let open = try world.pod.serve(host.contains(":") ? "::" : "0.0.0.0", 8090)
        #expect(try world.outside.dial(pod, 8090).finish().contains("hello"))
        try world.pod.run("ping", "-c", "1", "-W", "2", host)
        try world.pod.run(
            "python3", "-c",
            "import socket,sys;s=socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET,socket.SOCK_DGRAM)"
                + ";s.sendto(b'x'*100,(sys.argv[1],123))", host)
        // The connection from before speaks, and is met in the middle.
        before.tell("speak\n")

        let expected: [FlowKind] = [
            FlowKind(.tcp, .outbound, .excluded), FlowKind(.tcp, .inbound, .excluded),
            FlowKind(.icmp, .outbound, .protocol), FlowKind(.udp, .outbound, .protocol),
            FlowKind(.tcp, .outbound, .older),
        ]
        try Self.until { Set(expected).isSubset(of: Self.kinds(captured).keys) }
        let totals = Self.kinds(captured)
        // Neighbour discovery apart, which the kernel may track or not.
        let found = Set(totals.keys.filter { $0.reason != .linkLocal })
        #expect(found == Set(expected), "\(totals)")
        for kind in expected.dropLast() { #expect(totals[kind]?.flows == 1, "\(kind)") }
        let datagram = try #require(totals[FlowKind(.udp, .outbound, .protocol)])
        #expect(datagram.sent.packets == 1 && datagram.sent.bytes == UInt64(host.contains(":") ? 148 : 128))
        #expect((totals[FlowKind(.tcp, .outbound, .excluded)]?.received.bytes ?? 0) > 100)
        #expect(flows.reports().first?.leaks == [:])
        for child in [server, onward, excluded, open, older] { child.stop() }
        for child in [query, before] { child.stop() }
    }

    @Test(
        "a flow that went past the agent is told of, with the reason",
        arguments: [PodWorld.outside4, PodWorld.outside6])
    func leaks(host: String) async throws {
        let world = try PodWorld()
        let captured = try world.captured(.redirect) { $0.capturesDNS = true }
        let server = try world.outside.serve(host, 80)
        try world.pod.run("nft", "flush", "chain", "inet", "trammel", "out")
        // Stays until it is told of: of one that has ended while the rules are away, nothing tells whose it was.
        let past = try world.pod.start(
            [
                "python3", "-c",
                "import socket, sys; s = socket.create_connection((sys.argv[1], 80)); sys.stdin.read()",
                host,
            ], keepsInput: true)
        // The agent's own flows bear no mark while the rules are away, and are the agent's for all that.
        let own = try captured.dial(host, 80)
        #expect(own.readAll().contains("hello"))
        let leak = try #require(await captured.capture.flows.nextLeak())
        #expect(leak.destination == IPEndpoint(try #require(IPAddress(host)), 80))
        #expect(leak.transport == .tcp && leak.direction == .outbound)
        #expect(leak.reason.contains("the chain out lacks the rule"), "\(leak.reason)")
        past.stop()
        try captured.capture.install(captured.workload)
        let again = try world.pod.dial(host, 80)
        #expect(captured.acceptor.next()?.destination == "\(leak.destination)")
        again.finish()
        #expect(try captured.dial(host, 80).readAll().contains("hello"))
        // An event of later than all these has been seen.
        try world.pod.run("ping", "-c", "1", "-W", "2", host)
        try Self.until { Self.kinds(captured)[FlowKind(.icmp, .outbound, .protocol)] != nil }
        #expect(captured.capture.flows.reports().first?.leaks == [.tcp: 1])
        server.stop()
    }

    @Test("another rule that takes a connection first is named as the reason")
    func stolen() async throws {
        let world = try PodWorld()
        let captured = try world.captured(.redirect)
        let server = try world.pod.serve("127.0.0.1", 8088)
        try world.pod.run(
            "nft",
            "add table ip thief; add chain ip thief out { type nat hook output priority -150; }; "
                + "add rule ip thief out tcp dport 80 redirect to :8088")
        #expect(try world.pod.dial(PodWorld.outside4, 80).finish().contains("hello"))
        let leak = try #require(await captured.capture.flows.nextLeak())
        #expect(leak.reason.hasPrefix("another rule took it first and sent it to 127.0.0.1:8088"), "\(leak.reason)")
        server.stop()
    }

    @Test("row 2: the client's true port after a collision is known without a lookup for each connection")
    func trueClient() throws {
        let world = try PodWorld()
        try world.outside.run("ip", "address", "add", "192.0.2.11", "dev", "lo")
        let captured = try world.captured(.redirect)
        let program = """
            import socket, sys
            open = []
            for host in ("192.0.2.10", "192.0.2.11"):
                s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind(("10.77.1.2", 44444)); s.settimeout(5); s.connect((host, 80)); open.append(s)
            print("connected"); sys.stdin.readline()
            """
        let client = try world.pod.start(["python3", "-u", "-c", program], keepsInput: true)
        let taken = [try #require(captured.acceptor.take()), try #require(captured.acceptor.take())]
        #expect(client.line() == "connected")
        let seen = try taken.map { try #require(IPEndpoint($0.1.client)) }
        let own = try #require(IPEndpoint("10.77.1.2:44444"))
        let translated = captured.capture.flows.translated
        try Self.until { seen.allSatisfy { (translated.client(seenAs: $0, in: CapturedPod.id) ?? $0) == own } }
        // One of them was left as it was.
        #expect(seen.count { $0 == own } == 1)
        #expect(translated.client(seenAs: own, in: CapturedPod.id) == nil)
        for (socket, _) in taken { close(socket) }
    }

    @Test("a connection whose entry was deleted is refused with what became of it")
    func fate() throws {
        let world = try PodWorld()
        let captured = try world.captured(.redirect)
        let client = try world.pod.dial(PodWorld.outside4, 80, "wait=2", "source=10.77.1.2", "sport=40123")
        var polled = captured.workload.listeners.map { pollfd(fd: $0.socket, events: Int16(POLLIN), revents: 0) }
        try #require(poll(&polled, nfds_t(polled.count), 5000) > 0)
        try world.pod.run("conntrack", "-F")
        #expect(captured.acceptor.next() == nil)
        let from = try #require(IPEndpoint("10.77.1.2:40123"))
        let flows = captured.capture.flows
        try Self.until {
            flows.fate(of: from, in: CapturedPod.id)?.contains(
                "was going to 192.0.2.10:80, but its conntrack entry was deleted") ?? false
        }
        let nobody = try #require(IPEndpoint("10.77.1.2:1"))
        #expect(flows.fate(of: nobody, in: CapturedPod.id)?.contains("never told of it") == true)
        client.finish()
    }

    @Test("events that the kernel left out are made up for by a look at the table, and counted")
    func lostEvents() throws {
        let world = try PodWorld()
        let captured = try world.captured(.redirect)
        let burst = """
            import socket
            sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(8)]
            for port in range(1000, 1500):
                for s in sockets: s.sendto(b"x", ("192.0.2.10", port))
            """
        let watched = try #require(captured.capture.flows[CapturedPod.id])
        let small = try captured.capture.inside(captured.workload.namespace) { try ConntrackEventSocket(room: 4096) }
        try world.pod.run("python3", "-c", burst)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65536, alignment: 16)
        defer { buffer.deallocate() }
        var hasLost = false
        reading: while true {
            switch small.read(into: buffer) {
            case .lost: hasLost = true
            case .empty: break reading
            case .bytes: break
            }
        }
        #expect(hasLost)
        captured.capture.flows.take([], of: watched, hasLost: true)
        let kind = FlowKind(.udp, .outbound, .protocol)
        try Self.until { Self.kinds(captured)[kind]?.flows == 4000 }
        // Twice or more where this process is slow to read again.
        #expect((captured.capture.flows.reports().first?.eventsLost ?? 0) > 0)
    }

    @Test("row 24: nothing of the instruments keeps a namespace alive")
    func letsGo() throws {
        let outside = try TestNamespace()
        for mode in CapturedPod.modes {
            do {
                let pod = try TestNamespace()
                try pod.connect(to: outside, addresses: ["10.77.2.2/24"], peerAddresses: ["10.77.2.1/24"])
                let capture = try TestAgent.capture()
                let workload = try capture.open(CaptureRequest(target: .path(pod.path), mode: mode), as: CapturedPod.id)
                let acceptor = Acceptor(workload)
                try capture.install(workload)
                capture.flows.lookAtSockets()
                capture.flows.refresh()
                capture.close(CapturedPod.id)
                withExtendedLifetime(acceptor) {}
            }
            // The veth pair goes with the namespace of either end.
            try Self.until { try !outside.run("ip", "link").contains("eth0") }
        }
    }

    @Test("a flow that is not captured can be ended: TCP by its socket, UDP by its entry")
    func ends() throws {
        let world = try PodWorld()
        let captured = try world.captured(.redirect) { $0.excludedOutboundPorts = [80] }
        let server = try world.outside.python(SocketDiagnosticsTests.holder, PodWorld.outside4)
        #expect(server.line() == "ready")
        let client = try world.pod.python(SocketDiagnosticsTests.talker, PodWorld.outside4)
        #expect(client.line() == "connected")
        try world.pod.run(
            "python3", "-c",
            "import socket;socket.socket(socket.AF_INET,socket.SOCK_DGRAM).sendto(b'x',('192.0.2.10',9))")
        let flows = captured.capture.flows
        try Self.until { flows.passing().count == 2 }
        for flow in flows.passing() { #expect(try flows.end(passed: flow.number)) }
        #expect(client.line() == "ConnectionAbortedError")
        #expect(server.line() == "ConnectionResetError")
        try Self.until { flows.passing().allSatisfy { $0.kind.transport == .tcp } }
        #expect(try !flows.end(passed: 9999))
    }
}
