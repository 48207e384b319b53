import Foundation
import Glibc
import Testing
import TrammelCore
import TrammelTestSupport

@testable import TrammelCapture

extension HostTests {
    /// Restarts, older connections, closed ports, names, and the way out.
    @Suite struct BadDaysTests {
        @Test("row 23: a unit that starts anew is captured by its new cgroup", arguments: CapturedPod.modes)
        func aCgroupMadeAnew(mode: CaptureMode) throws {
            let world = try HostWorld()
            let old = try world.cgroup("shop.service")
            let escape = try world.serve(.remote, HostWorld.remote4, 80, "escaped")
            let member = try HostMemberAtWork(TestAgent.capture(), 1, .cgroup(old), mode)
            world.removeCgroup(old.path)
            let new = try world.cgroup("shop.service")
            #expect(new.id != old.id && new.path == old.path)
            // What the kernel does by itself: the rule names a cgroup that is gone.
            #expect(try world.dial(.cgroup(new), HostWorld.remote4, 80).finish() == "escaped \(HostWorld.host4)\n")
            try member.capture.refresh(member.workload.id, new)
            try member.capture.refresh(member.workload.id, new)
            let client = try world.dial(.cgroup(new), HostWorld.remote4, 80)
            #expect(member.acceptor.next()?.direction == .outbound)
            #expect(client.finish() == "captured\n")
            #expect(try member.capture.rules(of: member.workload.id).drift.joined(separator: "\n") == "")
            let other = try world.cgroup("other.service")
            #expect(throws: TrammelError.self) { try member.capture.refresh(member.workload.id, other) }
            try member.uninstall()
            escape.stop()
        }

        @Test("row 14, row 16: members known from before are refused until they are attached again")
        func announcedMembers() throws {
            let world = try HostWorld()
            let (shop, bank) = (try world.cgroup("shop.service"), try world.cgroup("bank.service"))
            let escape = try world.serve(.remote, HostWorld.remote4, 80, "escaped")
            // An agent with two members dies.
            do {
                let capture = try TestAgent.capture()
                for (id, cgroup) in [(UInt32(1), shop), (2, bank)] {
                    let workload = try capture.open(
                        CaptureRequest(target: .cgroup(cgroup)), as: WorkloadID(rawValue: id))
                    try capture.install(workload)
                    for listener in workload.listeners { close(listener.socket) }
                }
            }
            let capture = try TestAgent.capture()
            try capture.expect([shop, bank].map { ExpectedMember(CaptureRequest(target: .cgroup($0))) })
            let member = try HostMemberAtWork(capture, 1, .cgroup(bank), nil)
            let client = try world.dial(.cgroup(bank), HostWorld.remote4, 80)
            #expect(member.acceptor.next()?.direction == .outbound)
            #expect(client.finish() == "captured\n")
            #expect(try world.dial(.cgroup(shop), HostWorld.remote4, 80).finish() == "ECONNREFUSED\n")
            // Nobody attaches the other one after all.
            try capture.expect([])
            #expect(try world.dial(.cgroup(shop), HostWorld.remote4, 80).finish() == "escaped \(HostWorld.host4)\n")
            try member.uninstall()
            escape.stop()
        }

        /// One list is read for all that are taken up; it is of no use for one that was let past since.
        @Test("what was under way before a member was held back is known when it is taken up again")
        func takenUp() throws {
            let world = try HostWorld()
            let (shop, bank) = (try world.cgroup("shop.service"), try world.cgroup("bank.service"))
            let server = try world.serve(.remote, HostWorld.remote4, 80)
            let older = try world.hold(.cgroup(shop), HostWorld.remote4, 80)
            let others = try world.hold(.cgroup(bank), HostWorld.remote4, 80)
            let capture = try TestAgent.capture()
            try capture.expect([ExpectedMember(CaptureRequest(target: .cgroup(shop)))])
            let member = try HostMemberAtWork(capture, 1, .cgroup(shop), .tproxy)
            #expect(try capture.olderConnections(of: member.workload.id) == 1)
            try capture.expect([])
            try capture.uninstall(member.workload.id)
            let meanwhile = try world.hold(.cgroup(shop), HostWorld.remote4, 80)
            try capture.install(member.workload)
            #expect(try capture.olderConnections(of: member.workload.id) == 2)
            try member.uninstall()
            for child in [older, others, meanwhile, server] { child.stop() }
        }

        @Test("row 1: connections older than the rules go on", arguments: CapturedPod.modes)
        func olderConnections(mode: CaptureMode) throws {
            let world = try HostWorld()
            let shop = try world.cgroup("shop.service")
            let echo = """
                import socket, sys, threading
                s = socket.create_server((sys.argv[1], 80)); print("ready")
                def serve(c):
                    while (d := c.recv(99)): c.sendall(d)
                while True: threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
                """
            let server = try world.start(.remote, ["python3", "-u", "-c", echo, HostWorld.remote4])
            #expect(server.line() == "ready")
            let talk = """
                import socket, sys
                s = socket.create_connection((sys.argv[1], 80), 3)
                while True:
                    try:
                        s.sendall(b"hello"); print(s.recv(99).decode() or "end")
                    except OSError as e: print(type(e).__name__); break
                    if not sys.stdin.readline(): break
                """
            func talker(_ place: HostWorld.Place) throws -> TestChild {
                switch place {
                case .cgroup(let cgroup):
                    try world.host.start(
                        [
                            "sh", "-c",
                            "echo $$ > \(TestAgent.cgroup.get().mount)\(cgroup.path)/cgroup.procs && exec \"$@\"",
                            "sh", "python3", "-u", "-c", talk, HostWorld.remote4,
                        ], keepsInput: true)
                default: try world.host.start(["python3", "-u", "-c", talk, HostWorld.remote4], keepsInput: true)
                }
            }
            let older = try talker(.cgroup(shop))
            let stranger = try talker(.elsewhere)
            #expect(older.line() == "hello" && stranger.line() == "hello")
            let member = try HostMemberAtWork(TestAgent.capture(), 1, .cgroup(shop), mode)
            older.tell("again\n")
            #expect(older.line() == "hello")
            // Only the member's own count.
            #expect(try member.capture.olderConnections(of: member.workload.id) == 1)
            #expect(try member.capture.abortOlderConnections(of: member.workload.id) == 1)
            older.tell("again\n")
            #expect(older.line() != "hello")
            stranger.tell("again\n")
            #expect(stranger.line() == "hello")
            try member.uninstall()
            for child in [server, older, stranger] { child.stop() }
        }

        /// What lingers of a connection that the agent has closed first is not in the way of the next from the same port.
        @Test("row 3: a port is used again at once", arguments: CapturedPod.modes)
        func aPortIsUsedAgain(mode: CaptureMode) throws {
            let world = try HostWorld()
            let shop = try world.cgroup("shop.service")
            let member = try HostMemberAtWork(TestAgent.capture(), 1, .cgroup(shop), mode)
            for (address, own) in [(HostWorld.remote4, HostWorld.host4), (HostWorld.remote6, HostWorld.host6)] {
                for turn in 1...2 {
                    let client = try world.dial(.cgroup(shop), address, 80, "source=\(own)", "sport=40001")
                    #expect(member.acceptor.next(seconds: 2)?.direction == .outbound, "\(address), turn \(turn)")
                    #expect(client.finish() == "captured\n", "\(address), turn \(turn)")
                }
            }
            try member.uninstall()
        }

        @Test(arguments: CapturedPod.modes) func aClosedPortRefusesAtOnce(mode: CaptureMode) throws {
            let world = try HostWorld()
            let shop = try world.cgroup("shop.service")
            let member = try HostMemberAtWork(TestAgent.capture(), 1, .cgroup(shop), mode)
            for (address, client) in [
                (HostWorld.host4, HostWorld.remote4), (HostWorld.host6, HostWorld.remote6),
                ("127.0.0.1", nil), ("::1", nil), (HostWorld.host4, HostWorld.host4),
            ] as [(String, String?)] {
                let endpoint = IPEndpoint(try #require(IPAddress(address)), 8099)
                let began = ContinuousClock.now
                #expect(throws: CommandFailure(description: "errno \(ECONNREFUSED)")) {
                    try member.dial(endpoint, keeping: client.flatMap { IPAddress($0) })
                }
                // The reset comes through, and nobody waits for a time-out.
                #expect(ContinuousClock.now - began < .seconds(2))
            }
            try member.uninstall()
        }

        @Test(arguments: CapturedPod.modes) func anApplicationOnLoopbackOnlyIsCalledFromThere(
            mode: CaptureMode
        ) throws {
            let world = try HostWorld()
            let shop = try world.cgroup("shop.service")
            let servers = try ["127.0.0.1", "::1"].map { try world.serve(.cgroup(shop), $0, 8080, "inside") }
            let member = try HostMemberAtWork(TestAgent.capture(), 1, .cgroup(shop), mode)
            for address in ["127.0.0.1", "::1"] {
                let endpoint = IPEndpoint(try #require(IPAddress(address)), 8080)
                #expect(try member.dial(endpoint, keeping: nil).readAll() == "inside \(address)\n")
            }
            let listening = try member.capture.listeningSockets(of: member.workload.id)
            #expect(listening.ports == [8080])
            #expect(listening.address(toDial: 8080, preferring: member.workload.facts.addresses) == .loopbackV4)
            #expect(member.workload.sourceKeeping.reason.contains("loopback"))
            try member.uninstall()
            for server in servers { server.stop() }
        }

        @Test(arguments: CapturedPod.modes) func namesAreAskedOfTheAgent(mode: CaptureMode) throws {
            let world = try HostWorld()
            let shop = try world.cgroup("shop.service")
            let local = try world.start(.elsewhere, ["python3", "-u", "-c", Resolver.server, "127.0.0.53", "53"])
            #expect(local.line() == "ready")
            let capture = try TestAgent.capture()
            let member = try HostMemberAtWork(capture, 1, .cgroup(shop), mode) { $0.capturesDNS = true }
            let exchanges = try member.workload.dnsListeners.filter { $0.transport == .udp }.map {
                try CapturedDatagrams(adopting: $0, of: member.workload.id, capture: capture)
            }
            let resolver = Resolver(exchanges: exchanges)
            for server in ["127.0.0.53", HostWorld.remote4, HostWorld.remote6, "240.240.0.53"] {
                let asker = try world.start(
                    .cgroup(shop), ["python3", "-u", "-c", Resolver.asker, server, "53", "who"])
                let datagram = try #require(try resolver.next(), "\(server): \(asker.finish())")
                #expect(datagram.destination.description == (server.contains(":") ? "[\(server)]:53" : "\(server):53"))
                #expect(asker.finish() == "re: who\n", "\(server)")
            }
            // Others' questions go where they were going.
            let other = try world.start(.elsewhere, ["python3", "-u", "-c", Resolver.asker, "127.0.0.53", "53", "who"])
            #expect(other.finish() == "real: who\n")
            for listener in member.workload.dnsListeners where listener.transport == .tcp { close(listener.socket) }
            try member.uninstall()
            local.stop()
        }

        @Test(arguments: CapturedPod.modes) func nothingIsLeft(mode: CaptureMode) throws {
            let world = try HostWorld()
            let shop = try world.cgroup("shop.service")
            // An administrator's own choice, which is not to be touched.
            let sysctl = "/proc/sys/net/ipv4/fwmark_reflect"
            let before = try PodWorld.state(of: world.host)
            let capture = try TestAgent.capture()
            let first = try HostMemberAtWork(capture, 1, .cgroup(shop), mode)
            let second = try HostMemberAtWork(capture, 2, .user(HostWorld.user), mode)
            #expect(try SystemFile.read(sysctl) == "0\n")
            try first.uninstall()
            try second.uninstall()
            #expect(try PodWorld.state(of: world.host) == before)
            // A dead agent's, by who cleans up after it.
            let third = try HostMemberAtWork(capture, 3, .cgroup(shop), mode)
            try SystemFile.write("1", to: sysctl)
            defer { try? SystemFile.write("0", to: sysctl) }
            #expect(try PodWorld.state(of: world.host) != before)
            let outcomes = try CaptureCleanup.run(in: [.path("/proc/self/ns/net")])
            #expect(outcomes.count == 1 && outcomes[0].failure == nil)
            #expect(try SystemFile.read(sysctl) == "1\n")
            try SystemFile.write("0", to: sysctl)
            #expect(try PodWorld.state(of: world.host) == before)
            capture.close(third.workload.id)
        }

        @Test("row 13: what another tool took away is told and put back", arguments: CapturedPod.modes)
        func driftIsRepaired(mode: CaptureMode) throws {
            let world = try HostWorld()
            let shop = try world.cgroup("shop.service")
            let member = try HostMemberAtWork(TestAgent.capture(), 1, .cgroup(shop), mode)
            let capture = member.capture
            let id = member.workload.id
            #expect(try capture.rules(of: id).drift.joined(separator: "\n") == "")
            try world.host.run("nft", "flush", "chain", "inet", "trammel", "w1_out")
            #expect(try capture.rules(of: id).drift.isEmpty == false)
            try capture.install(member.workload)
            #expect(try capture.rules(of: id).drift.joined(separator: "\n") == "")
            try world.host.run("nft", "flush", "ruleset")
            try world.host.run("ip", "rule", "del", "pref", "100")
            #expect(try capture.rules(of: id).drift.count >= 2)
            try capture.install(member.workload)
            #expect(try capture.rules(of: id).drift.joined(separator: "\n") == "")
            let client = try world.dial(.cgroup(shop), HostWorld.remote4, 80)
            #expect(member.acceptor.next()?.direction == .outbound)
            client.finish()
            try member.uninstall()
        }

        @Test func whatCannotBeCapturedIsRefused() throws {
            let world = try HostWorld()
            let shop = try world.cgroup("shop.service")
            let capture = try TestAgent.capture()
            let member = try HostMemberAtWork(capture, 1, .cgroup(shop), nil)
            for target in [CaptureTarget.cgroup(shop), .cgroup(try TestAgent.cgroup.get().reference)] {
                #expect(throws: TrammelError.self) {
                    try capture.open(CaptureRequest(target: target), as: WorkloadID(rawValue: 2))
                }
            }
            for path in ["/", "", "/no/such.slice", "/a/../b"] {
                #expect(throws: TrammelError.self) { try CgroupReference.find(path) }
            }
            try member.uninstall()
        }
    }
}
