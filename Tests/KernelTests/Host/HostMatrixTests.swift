import Glibc
import Testing
import TrammelCore
import TrammelTestSupport

@testable import TrammelCapture

/// The tests of the host's rules: one after the other, since there is but one host.
@Suite(.host, .serialized) enum HostTests {}

/// (cgroup, user) × (in, out) × (IPv4, IPv6) × (redirect, tproxy).
extension HostTests {
    @Suite struct MatrixTests {
        enum Kind: String, CaseIterable { case cgroup, user }

        @Test(arguments: Kind.allCases, CapturedPod.modes) func outbound(kind: Kind, mode: CaptureMode) throws {
            let world = try HostWorld()
            let (place, target) = try MatrixTests.member(world, kind)
            let servers = try [HostWorld.remote4, HostWorld.remote6].map {
                try world.serve(.remote, $0, 80, "escaped")
            }
            let member = try HostMemberAtWork(TestAgent.capture(), 1, target, mode)
            for (address, own) in [
                (HostWorld.remote4, HostWorld.host4), (HostWorld.remote6, HostWorld.host6),
                ("10.79.1.2", HostWorld.host4),
                ("240.240.0.7", HostWorld.host4),
            ] {
                let client = try world.dial(place, address, 80)
                let accepted = try #require(member.acceptor.next(), "\(address): \(client.finish())")
                #expect(accepted.destination == (address.contains(":") ? "[\(address)]:80" : "\(address):80"))
                #expect(accepted.direction == .outbound)
                #expect(accepted.client.hasPrefix(own.contains(":") ? "[\(own)]:" : own + ":"), "\(accepted.client)")
                #expect(client.finish() == "captured\n")
            }
            // Whoever is no member goes past.
            #expect(try world.dial(.elsewhere, HostWorld.remote4, 80).finish() == "escaped \(HostWorld.host4)\n")
            #expect(try world.dial(.elsewhere, HostWorld.remote6, 80).finish() == "escaped \(HostWorld.host6)\n")
            // The agent's own calls too.
            let remote = try #require(IPEndpoint("\(HostWorld.remote4):80"))
            #expect(try Upstream.connect(to: remote).readAll() == "escaped \(HostWorld.host4)\n")
            #expect(member.acceptor.refusals.isEmpty)
            try member.uninstall()
            #expect(try world.dial(place, HostWorld.remote4, 80).finish() == "escaped \(HostWorld.host4)\n")
            for server in servers { server.stop() }
        }

        @Test(arguments: Kind.allCases, CapturedPod.modes) func inbound(kind: Kind, mode: CaptureMode) throws {
            let world = try HostWorld()
            let (place, target) = try MatrixTests.member(world, kind)
            let servers = try [("0.0.0.0", "v4"), ("::", "v6")].map { address, greeting in
                // Both on one port, as servers do.
                try world.start(
                    place, ["python3", "-u", "-c", MatrixTests.serverOfOneFamily, address, "8080", greeting])
            }
            for server in servers { #expect(server.line() == "ready") }
            let other = try world.serve(.elsewhere, "0.0.0.0", 8081, "other")
            let member = try HostMemberAtWork(TestAgent.capture(), 1, target, mode)
            for (from, address, source, greeting) in [
                (HostWorld.Place.remote, HostWorld.host4, HostWorld.remote4, "v4"),
                (.remote, HostWorld.host6, HostWorld.remote6, "v6"),
                (.elsewhere, HostWorld.host4, HostWorld.host4, "v4"),
                (.elsewhere, HostWorld.host6, HostWorld.host6, "v6"),
                (.elsewhere, "127.0.0.1", "127.0.0.1", "v4"),
                (.elsewhere, "::1", "::1", "v6"),
                // The member calls itself.
                (place, HostWorld.host4, HostWorld.host4, "v4"),
            ] {
                let client = try world.dial(from, address, 8080, "source=\(source)")
                let accepted = try #require(try member.carry(), "\(address) from \(source): \(client.finish())")
                #expect(accepted.direction == .inbound)
                #expect(accepted.destination == (address.contains(":") ? "[\(address)]:8080" : "\(address):8080"))
                #expect(client.finish() == "via agent: \(greeting) \(source)\n", "\(address) from \(source)")
            }
            #expect(try world.dial(.remote, HostWorld.host4, 8081).finish() == "other 10.79.1.2\n")
            #expect(try world.dial(.elsewhere, "127.0.0.1", 8081).finish() == "other 127.0.0.1\n")
            #expect(member.acceptor.refusals.isEmpty)
            try member.uninstall()
            #expect(try world.dial(.remote, HostWorld.host4, 8080).finish() == "v4 10.79.1.2\n")
            for server in servers + [other] { server.stop() }
        }

        static let serverOfOneFamily =
            """
            import socket, sys
            host, port, greeting = sys.argv[1], int(sys.argv[2]), sys.argv[3]
            s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
            if ":" in host: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((host, port)); s.listen(128)
            print("ready")
            while True:
                c, peer = s.accept()
                c.sendall((greeting + " " + peer[0] + "\\n").encode()); c.close()
            """

        static func member(_ world: HostWorld, _ kind: Kind) throws -> (HostWorld.Place, CaptureTarget) {
            switch kind {
            case .cgroup:
                let cgroup = try world.cgroup("shop.service")
                return (.cgroup(cgroup), .cgroup(cgroup))
            case .user:
                return (.user(HostWorld.user), .user(HostWorld.user))
            }
        }
    }
}
