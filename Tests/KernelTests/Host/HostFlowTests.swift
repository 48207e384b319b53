import Glibc
import Testing
import TrammelCore
import TrammelTestSupport

@testable import TrammelCapture

extension HostTests {
    /// What goes past the agent of the host's members, among everybody's flows: whose it is, and whether it leaked.
    @Suite struct FlowTests {
        private static func kinds(_ capture: WorkloadCapture, _ id: UInt32 = 1) -> [FlowKind: FlowTotals] {
            capture.flows.refresh()
            return capture.flows.reports().first { $0.workload.rawValue == id }?.totals ?? [:]
        }

        private static func leaks(_ capture: WorkloadCapture) -> [FlowProtocol: UInt64] {
            capture.flows.reports().reduce(into: [:]) { $0.merge($1.leaks, uniquingKeysWith: +) }
        }

        /// Waits for an event that the kernel has told of and the reading thread has yet to see.
        private static func until(_ condition: () throws -> Bool, _ what: () -> String = { "" }) throws {
            let end = MonotonicTime.now().nanoseconds + 5_000_000_000
            while try !condition() {
                try #require(MonotonicTime.now().nanoseconds < end, "it did not happen within 5 s: \(what())")
                usleep(2000)
            }
        }

        private static func next(_ capture: WorkloadCapture) async throws -> FlowLeak {
            try until({ leaks(capture) != [:] }, { "a leak" })
            return try #require(await capture.flows.nextLeak())
        }

        /// Takes one connection and whatever it says.
        private static let listening = """
            import socket, sys
            s = socket.create_server((sys.argv[1], 80)); print("ready"); c, _ = s.accept()
            while c.recv(100): pass
            """
        /// Answers one datagram.
        private static let answering = """
            import socket, sys
            host = sys.argv[1]
            s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
            s.bind((host, int(sys.argv[2]))); print("ready"); x, peer = s.recvfrom(100); s.sendto(b"y" * 100, peer)
            sys.stdin.readline()
            """
        private static let asking = """
            import socket, sys
            host = sys.argv[1]
            s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(3)
            s.sendto(b"x" * 100, (host, int(sys.argv[2])))
            if len(sys.argv) > 3: print(len(s.recv(200)))
            """

        private static func ask(_ world: HostWorld, _ place: HostWorld.Place, _ host: String, _ port: Int) throws {
            let asked = try world.start(place, ["python3", "-u", "-c", asking, host, "\(port)", "answer"])
            #expect(asked.finish() == "100\n", "\(asked.errors)")
        }

        @Test(
            "row 27: each flow is its workload's, known by the kernel's word, and a stranger's is nobody's",
            arguments: zip(MatrixTests.Kind.allCases, CapturedPod.modes))
        func whose(kind: MatrixTests.Kind, mode: CaptureMode) throws {
            let world = try HostWorld()
            try world.host.run("sysctl", "-qw", "net.netfilter.nf_conntrack_acct=1")
            defer { _ = try? world.host.run("sysctl", "-qw", "net.netfilter.nf_conntrack_acct=0") }
            let (place, target) = try MatrixTests.member(world, kind)
            let bank = try world.cgroup("bank.service")
            let older = try world.remote.python(Self.listening, HostWorld.remote4)
            #expect(older.line() == "ready")
            let before = try world.start(
                place,
                [
                    "python3", "-u", "-c",
                    "import socket,sys,time;s=socket.create_connection((sys.argv[1],80),5);print('connected')\nwhile True: s.send(b'x'); time.sleep(.2)",
                    HostWorld.remote4,
                ])
            #expect(before.line() == "connected")
            let hosts = [(HostWorld.remote4, HostWorld.host4), (HostWorld.remote6, HostWorld.host6)]
            let excluded = try hosts.map { try world.serve(.remote, $0.0, 8080) }
            let open = try world.serve(place, "::", 8090)
            let inward = try world.serve(place, "::", 8091)
            let capture = try TestAgent.capture()
            let member = try HostMemberAtWork(capture, 1, target, mode) {
                $0.capturesDNS = true
                $0.excludedOutboundPorts = [8080]
                $0.excludedInboundPorts = [8090]
            }
            let other = try HostMemberAtWork(capture, 2, .cgroup(bank), mode)
            for (remote, own) in hosts {
                // Captured out and in, and from the host itself.
                let out = try world.dial(place, remote, 81)
                #expect(member.acceptor.next()?.direction == .outbound)
                out.finish()
                for from in [HostWorld.Place.remote, .elsewhere] {
                    let inside = try world.dial(from, own, 8091)
                    #expect(try member.carry()?.direction == .inbound)
                    #expect(inside.finish().contains("via agent"))
                }
                // Past the agent, as it should be.
                #expect(try world.dial(place, remote, 8080).finish().contains("hello"))
                #expect(try world.dial(.remote, own, 8090).finish().contains("hello"))
                try world.start(place, ["ping", "-c", "1", "-W", "2", remote]).finish()
                let server = try world.remote.start(
                    ["python3", "-u", "-c", Self.answering, remote, "7000"], keepsInput: true)
                #expect(server.line() == "ready")
                try Self.ask(world, place, remote, 7000)
                server.stop()
                // Whoever sends first is who began it.
                let asked = try world.start(place, ["python3", "-u", "-c", Self.answering, own, "7100"])
                #expect(asked.line() == "ready")
                try Self.ask(world, .remote, own, 7100)
                asked.finish()
                // Strangers' and another member's.
                #expect(try world.dial(.elsewhere, remote, 8080).finish().contains("hello"))
                try world.start(.elsewhere, ["ping", "-c", "1", "-W", "2", remote]).finish()
                try world.start(.cgroup(bank), ["ping", "-c", "1", "-W", "2", remote]).finish()
            }
            let expected: [FlowKind: UInt64] = [
                FlowKind(.tcp, .outbound, .excluded): 2, FlowKind(.tcp, .inbound, .excluded): 2,
                FlowKind(.icmp, .outbound, .protocol): 2, FlowKind(.udp, .outbound, .protocol): 2,
                FlowKind(.udp, .inbound, .protocol): 2, FlowKind(.tcp, .outbound, .older): 1,
            ]
            func found() -> [FlowKind: UInt64] {
                Self.kinds(capture).filter { $0.key.reason != .linkLocal }.mapValues(\.flows)
            }
            try Self.until({ found() == expected }, { "\(found())" })
            let icmp = FlowKind(.icmp, .outbound, .protocol)
            try Self.until { Self.kinds(capture, 2)[icmp]?.flows == 2 }
            #expect(Self.kinds(capture, 2).keys.filter { $0.reason != .linkLocal } == [icmp])
            #expect(Self.leaks(capture) == [:])
            let totals = Self.kinds(capture)
            // 100 bytes each way, and the headers.
            let sent = try #require(totals[FlowKind(.udp, .inbound, .protocol)])
            #expect(sent.sent.packets == 2 && sent.sent.bytes == 128 + 148 && sent.received.bytes == 128 + 148)
            #expect((totals[FlowKind(.tcp, .outbound, .excluded)]?.received.bytes ?? 0) > 100)
            #expect(try capture.rules(of: member.workload.id).drift.joined(separator: "\n") == "")
            for child in excluded + [open, inward, older, before] { child.stop() }
            for listener in member.workload.dnsListeners { close(listener.socket) }
            // Nobody is watched any more.
            try member.uninstall()
            #expect(capture.flows.host.withLock { $0 } != nil)
            try other.uninstall()
            #expect(capture.flows.host.withLock { $0 == nil })
            #expect(capture.flows.reports().isEmpty)
        }

        @Test(
            "row 18: what went past the agent while the host's rules were away is told of, with the reason",
            arguments: zip(MatrixTests.Kind.allCases, CapturedPod.modes))
        func leaks(kind: MatrixTests.Kind, mode: CaptureMode) async throws {
            let world = try HostWorld()
            let (place, target) = try MatrixTests.member(world, kind)
            let hosts = [(HostWorld.remote4, HostWorld.host4), (HostWorld.remote6, HostWorld.host6)]
            let servers = try hosts.map { try world.serve(.remote, $0.0, 80) } + [world.serve(place, "::", 8091)]
            let stranger = try world.serve(.elsewhere, "::", 8092)
            let capture = try TestAgent.capture()
            let member = try HostMemberAtWork(capture, 1, target, mode)
            try world.host.run("nft", "delete", "table", "inet", "trammel")
            // Whatever conntrack was switched on by has to stay.
            try world.host.run(
                "nft",
                "add table inet keeps; add chain inet keeps c { type filter hook output priority 0; }; "
                    + "add rule inet keeps c ct state invalid counter")
            defer { _ = try? world.host.run("nft", "delete", "table", "inet", "keeps") }
            var count: UInt64 = 0
            for (remote, own) in hosts {
                for (from, to, port, direction) in [
                    (place, remote, 80, TrafficDirection.outbound), (.remote, own, 8091, .inbound),
                    (.elsewhere, own, 8091, .inbound),
                ] {
                    let held = try world.hold(from, to, port)
                    count += 1
                    try Self.until({ Self.leaks(capture) == [.tcp: count] }, { "the leak from \(from) to \(to)" })
                    held.stop()
                    let leak = try await Self.next(capture)
                    #expect(leak.destination == IPEndpoint(try #require(IPAddress(to)), UInt16(port)))
                    #expect(leak.transport == .tcp && leak.direction == direction && leak.workload.rawValue == 1)
                    #expect(leak.reason.contains("the table trammel is missing"), "\(leak.reason)")
                }
                // Nor is what strangers do, and the agent itself.
                #expect(try world.dial(.elsewhere, remote, 80).finish().contains("hello"))
                #expect(try world.dial(.remote, own, 8092).finish().contains("hello"))
                let endpoint = IPEndpoint(try #require(IPAddress(remote)), 80)
                #expect(try Upstream.connect(to: endpoint).readAll().contains("hello"))
            }
            #expect(Self.kinds(capture)[FlowKind(.tcp, .inbound, .leak)]?.flows == 4)
            try capture.install(member.workload)
            for (remote, own) in hosts {
                let again = try world.dial(place, remote, 80)
                #expect(member.acceptor.next() != nil)
                again.finish()
                let inside = try world.dial(.elsewhere, own, 8091)
                #expect(try member.carry() != nil)
                inside.finish()
                try world.start(place, ["ping", "-c", "1", "-W", "2", remote]).finish()
            }
            // An event of later than all these has been seen.
            try Self.until { Self.kinds(capture)[FlowKind(.icmp, .outbound, .protocol)]?.flows == 2 }
            #expect(Self.leaks(capture) == [.tcp: 6])
            try member.uninstall()
            for child in servers + [stranger] { child.stop() }
        }

        @Test("row 23: a cgroup that was made anew unseen is told of by the first connection that goes past")
        func madeAnew() async throws {
            let world = try HostWorld()
            let before = try world.cgroup("web.service")
            let server = try world.serve(.remote, HostWorld.remote4, 80)
            let capture = try TestAgent.capture()
            let member = try HostMemberAtWork(capture, 1, .cgroup(before), .tproxy)
            world.removeCgroup(before.path)
            let now = try world.cgroup("web.service")
            #expect(now.id != before.id)
            let held = try world.hold(.cgroup(now), HostWorld.remote4, 80)
            let leak = try await Self.next(capture)
            held.stop()
            #expect(leak.reason.contains("was made anew and the rules still name the one before"), "\(leak.reason)")
            try member.uninstall()
            server.stop()
        }

        @Test("another rule that takes a connection first is named as the reason", arguments: MatrixTests.Kind.allCases)
        func stolen(kind: MatrixTests.Kind) async throws {
            let world = try HostWorld()
            let (place, target) = try MatrixTests.member(world, kind)
            let capture = try TestAgent.capture()
            let member = try HostMemberAtWork(capture, 1, target, .redirect)
            let server = try world.serve(.elsewhere, "127.0.0.1", 8088)
            try world.host.run(
                "nft",
                "add table ip thief; add chain ip thief out { type nat hook output priority -150; }; "
                    + "add rule ip thief out tcp dport 80 redirect to :8088")
            defer { _ = try? world.host.run("nft", "delete", "table", "ip", "thief") }
            let held = try world.hold(place, HostWorld.remote4, 80)
            let leak = try await Self.next(capture)
            held.stop()
            #expect(leak.reason.hasPrefix("another rule took it first and sent it to 127.0.0.1:8088"), "\(leak.reason)")
            try member.uninstall()
            server.stop()
        }

        @Test("what a bypass lets past is no leak", arguments: CapturedPod.modes)
        func bypassed(mode: CaptureMode) throws {
            let world = try HostWorld()
            let shop = try world.cgroup("shop.service")
            let servers = [
                try world.serve(.remote, HostWorld.remote4, 80), try world.serve(.cgroup(shop), "0.0.0.0", 8091),
            ]
            let capture = try TestAgent.capture()
            let member = try HostMemberAtWork(capture, 1, .cgroup(shop), mode)
            try capture.drain(member.workload.id)
            #expect(try world.dial(.cgroup(shop), HostWorld.remote4, 80).finish().contains("hello"))
            #expect(try world.dial(.remote, HostWorld.host4, 8091).finish().contains("hello"))
            let expected = [FlowKind(.tcp, .outbound, .bypassed), FlowKind(.tcp, .inbound, .bypassed)]
            try Self.until { Set(expected) == Set(Self.kinds(capture).keys.filter { $0.reason != .linkLocal }) }
            #expect(Self.leaks(capture) == [:])
            try capture.resume(member.workload.id)
            let again = try world.dial(.cgroup(shop), HostWorld.remote4, 80)
            #expect(member.acceptor.next() != nil)
            again.finish()
            try member.uninstall()
            for server in servers { server.stop() }
        }

        @Test("a member's mark never takes the place of somebody else's, whose flow is known by its socket")
        func othersMarks() throws {
            let world = try HostWorld()
            let shop = try world.cgroup("shop.service")
            let server = try world.serve(.remote, HostWorld.remote4, 8080)
            try world.host.run(
                "nft",
                "add table inet other; add chain inet other c { type filter hook output priority -155; }; "
                    + "add rule inet other c ct mark set 0x40000")
            defer { _ = try? world.host.run("nft", "delete", "table", "inet", "other") }
            let capture = try TestAgent.capture()
            let member = try HostMemberAtWork(capture, 1, .cgroup(shop), .tproxy) { $0.excludedOutboundPorts = [8080] }
            let held = try world.hold(.cgroup(shop), HostWorld.remote4, 8080)
            #expect(try world.host.run("conntrack", "-L", "-p", "tcp", "--dport", "8080").contains("mark=262144"))
            try Self.until { Self.kinds(capture)[FlowKind(.tcp, .outbound, .excluded)]?.flows == 1 }
            held.stop()
            #expect(Self.leaks(capture) == [:])
            try member.uninstall()
            server.stop()
        }
    }
}
