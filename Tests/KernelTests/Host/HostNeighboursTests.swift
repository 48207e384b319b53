import Glibc
import Testing
import TrammelCore
import TrammelTestSupport

@testable import TrammelCapture

extension HostTests {
    /// Several members side by side, beside pods, and among processes that mean no good.
    @Suite struct NeighboursTests {
        @Test(arguments: CapturedPod.modes) func theMostSpecificMemberOwnsAConnection(mode: CaptureMode) throws {
            let world = try HostWorld()
            let capture = try TestAgent.capture()
            let (wide, deep) = (try world.cgroup("shop.slice"), try world.cgroup("shop.slice/web.service"))
            let beside = try world.cgroup("shop.slice/db.service")
            // The other mode for the wider one: neither may be looked for in the other's chains.
            let other: CaptureMode = mode == .tproxy ? .redirect : .tproxy
            let members = [
                try HostMemberAtWork(capture, 1, .cgroup(wide), other),
                try HostMemberAtWork(capture, 2, .cgroup(deep), mode),
                try HostMemberAtWork(capture, 3, .user(HostWorld.user), mode),
            ]
            let cases: [(HostWorld.Place, Int)] = [
                (.cgroup(wide), 0), (.cgroup(deep), 1), (.cgroup(beside), 0), (.user(HostWorld.user), 2),
                (.both(deep, HostWorld.user), 1), (.both(wide, HostWorld.user), 0),
            ]
            for (place, owner) in cases {
                for address in [HostWorld.remote4, HostWorld.remote6] {
                    let client = try world.dial(place, address, 80)
                    let accepted = members[owner].acceptor.next()
                    #expect(accepted?.direction == .outbound, "\(place) to \(address): \(client.finish())")
                    #expect(client.finish() == "captured\n")
                }
                let server = try world.serve(place, "0.0.0.0", 9000)
                try capture.refreshListeners(members[2].workload.id)
                let client = try world.dial(.remote, HostWorld.host4, 9000)
                #expect(members[owner].acceptor.next()?.direction == .inbound, "\(place): \(client.finish())")
                client.finish()
                server.stop()
                try capture.refreshListeners(members[2].workload.id)
            }
            // The inner one goes: its connections are the outer one's from here on.
            try members[1].uninstall()
            let client = try world.dial(.cgroup(deep), HostWorld.remote4, 80)
            #expect(members[0].acceptor.next()?.direction == .outbound)
            client.finish()
            try members[0].uninstall()
            try members[2].uninstall()
            #expect(try PodWorld.state(of: world.host).contains("table inet trammel") == false)
        }

        @Test func podsAndTheHostsMembersAreCapturedOnOneNode() throws {
            let world = try HostWorld()
            let pod = try PodWorld()
            let captured = try pod.captured(.tproxy)
            let shop = try world.cgroup("shop.service")
            let member = try HostMemberAtWork(captured.capture, 2, .cgroup(shop), nil)
            #expect(member.workload.plan.outboundMode == .tproxy)
            #expect(member.workload.modeReason.contains("tproxy"))
            for (client, acceptor) in [
                (try world.dial(.cgroup(shop), HostWorld.remote4, 80), member.acceptor),
                (try pod.pod.dial(PodWorld.outside4, 80), captured.acceptor),
            ] {
                #expect(acceptor.next()?.direction == .outbound)
                #expect(client.finish() == "captured\n")
            }
            try captured.capture.uninstall(CapturedPod.id)
            try member.uninstall()
        }

        @Test(arguments: CapturedPod.modes) func aForgedMarkOpensNothing(mode: CaptureMode) throws {
            let world = try HostWorld()
            let shop = try world.cgroup("shop.service")
            let servers = [
                try world.serve(.remote, HostWorld.remote4, 80, "escaped"),
                try world.serve(.cgroup(shop), "0.0.0.0", 8080, "reached"),
            ]
            let member = try HostMemberAtWork(TestAgent.capture(), 1, .cgroup(shop), mode)
            for mark in ["0x539", "0x222", "0x53a", "0x1223"] {
                // Bound to an address, or the kernel would choose one by the route that the mark asks for.
                let out = try world.dial(
                    .cgroup(shop), HostWorld.remote4, 80, "mark=\(mark)", "source=\(HostWorld.host4)")
                #expect(member.acceptor.next(seconds: 2)?.direction == .outbound, "mark \(mark): \(out.finish())")
                #expect(out.finish() == "captured\n")
                for source in [HostWorld.host4, "127.0.0.1"] {
                    let into = try world.dial(
                        .elsewhere, source == "127.0.0.1" ? source : HostWorld.host4, 8080, "mark=\(mark)",
                        "source=\(source)")
                    #expect(member.acceptor.next(seconds: 2)?.direction == .inbound, "mark \(mark): \(into.finish())")
                    #expect(into.finish() == "captured\n")
                }
                #expect(
                    try world.dial(.cgroup(shop), HostWorld.remote4, 80, "mark=\(mark)").finish().contains("escaped")
                        == false)
                while member.acceptor.next(seconds: 0) != nil {}
            }
            try member.uninstall()
            for server in servers { server.stop() }
        }

        @Test(arguments: CapturedPod.modes) func theAgentsPortsAreNotForDirectUse(mode: CaptureMode) throws {
            let world = try HostWorld()
            let shop = try world.cgroup("shop.service")
            let member = try HostMemberAtWork(TestAgent.capture(), 1, .cgroup(shop), mode) { $0.capturesDNS = true }
            for port in [15001, 15006, 15053] {
                for place in [HostWorld.Place.cgroup(shop), .elsewhere] {
                    #expect(try world.dial(place, "127.133.0.1", port).finish() == "ECONNREFUSED\n")
                    let six = try world.dial(place, "fd74:7261:6d6d:656c::1", port, "wait=1").finish()
                    #expect(six == "ECONNREFUSED\n")
                }
            }
            // The same numbers at other addresses are anybody's: no port of an application is taken.
            let server = try world.serve(.elsewhere, HostWorld.host4, 15001, "mine")
            #expect(try world.dial(.remote, HostWorld.host4, 15001).finish() == "mine 10.79.1.2\n")
            server.stop()
            for listener in member.workload.dnsListeners { close(listener.socket) }
            try member.uninstall()
        }

        @Test(arguments: CapturedPod.modes) func nobodyTakesTheListenersPlaceWhileTheAgentIsDead(
            mode: CaptureMode
        ) throws {
            let world = try HostWorld()
            let shop = try world.cgroup("shop.service")
            let application = try world.serve(.cgroup(shop), "0.0.0.0", 8080, "reached")
            let escape = try world.serve(.remote, HostWorld.remote4, 80, "escaped")
            let capture = try TestAgent.capture()
            let request = CaptureRequest(target: .cgroup(shop), mode: mode)
            let workload = try capture.open(request, as: WorkloadID(rawValue: 1))
            try capture.install(workload)
            for listener in workload.listeners { close(listener.socket) }
            func attempts() throws -> [String] {
                try [
                    world.dial(.cgroup(shop), HostWorld.remote4, 80), world.dial(.cgroup(shop), HostWorld.remote6, 80),
                    world.dial(.remote, HostWorld.host4, 8080), world.dial(.elsewhere, "127.0.0.1", 8080),
                ].map { $0.finish() }
            }
            #expect(try attempts() == Array(repeating: "ECONNREFUSED\n", count: 4))
            let strangers = try ["0.0.0.0 15001", "0.0.0.0 15006", ":: 15001", ":: 15006"].map { words in
                let words = words.split(separator: " ").map(String.init)
                return try world.start(
                    .elsewhere, ["python3", "-u", "-c", NeighboursTests.transparentServer, words[0], words[1]])
            }
            for stranger in strangers { #expect(stranger.line() == "ready", "\(stranger.finish())\(stranger.errors)") }
            #expect(try attempts() == Array(repeating: "ECONNREFUSED\n", count: 4))
            for child in strangers + [application, escape] { child.stop() }
            try capture.uninstall(workload.id)
        }

        /// A thief: listens everywhere, and may take connections that are for somebody else.
        static let transparentServer = """
            import socket, sys
            host, port = sys.argv[1], int(sys.argv[2])
            six = ":" in host
            s = socket.socket(socket.AF_INET6 if six else socket.AF_INET)
            if six: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.setsockopt(41 if six else 0, 75 if six else 19, 1)
            s.bind((host, port)); s.listen(8)
            print("ready")
            while True:
                c, peer = s.accept(); c.sendall(b"stolen"); c.close()
            """
    }
}
