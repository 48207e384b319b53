import Foundation
import Glibc
import Testing
import TrammelCore
import TrammelTestSupport

@testable import TrammelCapture

extension HostTests {
    /// UDP other than DNS of the host's members: carried by the agent, or held to a list by the kernel.
    @Suite struct DatagramTests {
        private static let hosts = [HostWorld.remote4, HostWorld.remote6]

        private func ask(_ world: HostWorld, _ place: HostWorld.Place, _ host: String, _ port: String) throws
            -> TestChild
        {
            try world.start(place, ["python3", "-u", "-c", Resolver.asker, host, port, "x"])
        }

        private func serve(_ world: HostWorld, _ place: HostWorld.Place, _ host: String, _ port: String) throws
            -> TestChild
        {
            let server = try world.start(place, ["python3", "-u", "-c", Resolver.server, host, port])
            #expect(server.line() == "ready")
            return server
        }

        @Test(arguments: CapturedPod.modes) func carried(mode: CaptureMode) throws {
            let world = try HostWorld()
            let (shop, bank) = (try world.cgroup("shop.service"), try world.cgroup("bank.service"))
            let capture = try TestAgent.capture()
            let members = try [shop, bank].enumerated().map { index, cgroup in
                try HostMemberAtWork(capture, UInt32(index + 1), .cgroup(cgroup), mode) {
                    $0.udp = .proxy
                    $0.capturesDNS = true
                }
            }
            let carriers = try members.map { try Carrier($0.workload, capture) }
            for (index, cgroup) in [shop, bank].enumerated() {
                for host in Self.hosts {
                    let client = try ask(world, .cgroup(cgroup), host, "7000")
                    let datagram = try #require(try carriers[index].next(), "\(client.finish())\(client.errors)")
                    #expect(datagram.destination.endpoint == IPEndpoint(try #require(IPAddress(host)), 7000))
                    #expect(client.line() == "re: x")
                }
                // Whoever has sent is answered, and not by the agent.
                let server = try serve(world, .cgroup(cgroup), "0.0.0.0", "7100")
                #expect(try ask(world, .remote, HostWorld.host4, "7100").line() == "real: x")
                #expect(try ask(world, .elsewhere, "127.0.0.1", "7100").line() == "real: x")
                server.stop()
            }
            #expect(try capture.rules(of: members[0].workload.id).drift.joined(separator: "\n") == "")
            let server = try serve(world, .remote, HostWorld.remote4, "7000")
            #expect(try ask(world, .elsewhere, HostWorld.remote4, "7000").line() == "real: x")
            server.stop()
            for member in members {
                for listener in member.workload.dnsListeners { close(listener.socket) }
                try member.uninstall()
            }
        }

        @Test(arguments: CapturedPod.modes) func heldToAList(mode: CaptureMode) throws {
            let world = try HostWorld()
            let shop = try world.cgroup("shop.service")
            let servers = try Self.hosts.flatMap { host in
                try ["7001", "7002", "443"].map { try serve(world, .remote, host, $0) }
            }
            let member = try HostMemberAtWork(TestAgent.capture(), 1, .cgroup(shop), mode) {
                $0.udp = .policy
                $0.quic = .refuse
                $0.udpAllowed = Self.hosts.compactMap {
                    DatagramDestination($0.contains(":") ? "[\($0)/128]:7001" : "\($0)/32:7001")
                }
            }
            for host in Self.hosts {
                #expect(try ask(world, .cgroup(shop), host, "7001").line() == "real: x")
                #expect(try ask(world, .cgroup(shop), host, "7002").line() == "PermissionError")
                #expect(try ask(world, .cgroup(shop), host, "443").line() == "PermissionError")
                #expect(try ask(world, .elsewhere, host, "7002").line() == "real: x")
            }
            #expect(try member.capture.rules(of: member.workload.id).drift.joined(separator: "\n") == "")
            try member.uninstall()
            #expect(try ask(world, .cgroup(shop), HostWorld.remote4, "7002").line() == "real: x")
            for server in servers { server.stop() }
        }
    }
}
