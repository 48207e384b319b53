import Foundation
import Glibc
import Testing
import TrammelCore
import TrammelTestSupport

@testable import TrammelCapture

/// UDP other than DNS: carried by the agent, or held to a list by the kernel.
@Suite(.kernel) struct TurnedDatagramsTests {
    private static let hosts = [PodWorld.outside4, PodWorld.outside6]

    private func destination(_ text: String) throws -> DatagramDestination { try #require(DatagramDestination(text)) }

    // MARK: Carried

    @Test(arguments: CapturedPod.modes) func theDestinationIsKnownAndAnswers(mode: CaptureMode) throws {
        let world = try PodWorld()
        let captured = try world.captured(mode) { $0.udp = .proxy }
        let carrier = try Carrier(captured)
        for host in Self.hosts + [PodWorld.virtual4] {
            let client = try world.pod.python(Resolver.asker, host, "7000", "to \(host)")
            let datagram = try #require(try carrier.next())
            #expect(datagram.destination.endpoint == IPEndpoint(try #require(IPAddress(host)), 7000))
            #expect(client.line() == "re: to \(host)")
        }
    }

    @Test(arguments: CapturedPod.modes) func aLongDatagramPassesWhole(mode: CaptureMode) throws {
        let world = try PodWorld()
        let captured = try world.captured(mode) { $0.udp = .proxy }
        let carrier = try Carrier(captured)
        for host in Self.hosts {
            let word = String(repeating: "long", count: 15000)
            let client = try world.pod.python(Resolver.asker, host, "7000", word)
            #expect(try carrier.next()?.count == 60000)
            #expect(client.line() == "re: " + word)
        }
    }

    @Test(arguments: CapturedPod.modes) func aRefusalIsHeard(mode: CaptureMode) throws {
        let world = try PodWorld()
        let captured = try world.captured(mode) { $0.udp = .proxy }
        let carrier = try Carrier(captured)
        for host in Self.hosts {
            for (refusal, words) in [
                (DatagramRefusal.portUnreachable, ["ConnectionRefusedError"]),
                (.prohibited, ["OSError", "PermissionError"]),
            ] {
                let client = try world.pod.python(Resolver.asker, host, "7000", "x")
                #expect(try carrier.next(refusing: refusal) != nil)
                #expect(words.contains(client.line() ?? ""))
            }
        }
    }

    /// The table stays when the agent is gone: nobody else gets what was meant for others.
    @Test(arguments: CapturedPod.modes) func withoutTheAgentNothingPasses(mode: CaptureMode) throws {
        let world = try PodWorld()
        let stranger = try world.pod.python(Resolver.server, "0.0.0.0", "7000")
        #expect(stranger.line() == "ready")
        let captured = try world.captured(mode) { $0.udp = .proxy }
        for listener in captured.workload.datagramListeners { close(listener.socket) }
        // In the name of another host the kernel sends ICMP over IPv6 only.
        for (host, said) in zip(Self.hosts, ["TimeoutError", "ConnectionRefusedError"]) {
            #expect(try world.pod.python(Resolver.asker, host, "7000", "x").line() == said)
        }
        stranger.stop()
    }

    @Test(arguments: CapturedPod.modes) func aDirectHitIsRefused(mode: CaptureMode) throws {
        let world = try PodWorld()
        let captured = try world.captured(mode) { $0.udp = .proxy }
        let carrier = try Carrier(captured)
        let client = try world.pod.python(Resolver.asker, "127.0.0.1", "15001", "x")
        let error = #expect(throws: TrammelError.self) { try carrier.next() }
        #expect(["direct-hit", "original-destination-unknown"].contains(error?.code))
        client.stop()
    }

    /// What the pod answers goes where it was going, and so does what is for the pod itself.
    @Test(arguments: CapturedPod.modes, [CaptureScope.UDPChoice.policy, .proxy])
    func whoeverHasSentIsAnswered(mode: CaptureMode, udp: CaptureScope.UDPChoice) throws {
        let world = try PodWorld()
        let captured = try world.captured(mode) { $0.udp = udp }
        for (bind, host, local) in [("0.0.0.0", PodWorld.pod4, "127.0.0.1"), ("::", PodWorld.pod6, "::1")] {
            let server = try world.pod.python(Resolver.server, bind, "7100")
            #expect(server.line() == "ready")
            #expect(try world.outside.python(Resolver.asker, host, "7100", "x").line() == "real: x")
            #expect(try world.pod.python(Resolver.asker, local, "7100", "y").line() == "real: y")
            #expect(try world.pod.python(Resolver.asker, host, "7100", "z").line() == "real: z")
            server.stop()
        }
        // What the rules have remembered is no drift.
        #expect(try captured.capture.rules(of: CapturedPod.id).drift == [])
        for listener in captured.workload.datagramListeners { close(listener.socket) }
    }

    @Test func nothingIsTrackedUnderTproxy() throws {
        for udp in [CaptureScope.UDPChoice.policy, .proxy] {
            let world = try PodWorld()
            let captured = try world.captured(.tproxy) {
                $0.udp = udp
                $0.capturesDNS = true
            }
            let client = try world.pod.python(Resolver.asker, PodWorld.outside4, "7000", "x")
            _ = client.line()
            #expect(try world.pod.run("conntrack", "-L").isEmpty)
            for listener in captured.workload.datagramListeners { close(listener.socket) }
        }
    }

    // MARK: Held to a list

    @Test(arguments: CapturedPod.modes) func onlyWhatIsAllowedGoesOut(mode: CaptureMode) throws {
        let world = try PodWorld()
        for host in Self.hosts {
            let block = host.contains(":") ? "[\(host)/128]:7001" : "\(host)/32:7001"
            let servers = try ["7001", "7002", "443"].map { port in
                let server = try world.outside.python(Resolver.server, host, port)
                #expect(server.line() == "ready")
                return server
            }
            for allowed in [[block], [host], []] {
                let captured = try world.captured(mode) {
                    $0.udp = .policy
                    $0.quic = .refuse
                    $0.udpAllowed = allowed.compactMap { DatagramDestination($0) }
                }
                func ask(_ port: String) throws -> String? {
                    try world.pod.python(Resolver.asker, host, port, "x").line()
                }
                // What is refused on its way out is an error of the very call.
                #expect(try ask("7001") == (allowed.isEmpty ? "PermissionError" : "real: x"))
                #expect(try ask("7002") == (allowed == [host] ? "real: x" : "PermissionError"))
                #expect(try ask("443") == "PermissionError")
                #expect(try captured.capture.rules(of: CapturedPod.id).drift == [])
                try captured.capture.uninstall(CapturedPod.id)
                #expect(try ask("7002") == "real: x")
            }
            for server in servers { server.stop() }
        }
    }

    @Test(arguments: CapturedPod.modes) func whatIsExcludedIsLeftAlone(mode: CaptureMode) throws {
        let world = try PodWorld()
        let server = try world.outside.python(Resolver.server, PodWorld.outside4, "7001")
        #expect(server.line() == "ready")
        for udp in [CaptureScope.UDPChoice.policy, .proxy] {
            for change in [
                { $0.excludedOutboundPorts = [7001] },
                { $0.excludedOutbound = [CIDR(PodWorld.outside4)].compactMap { $0 } },
            ] as [(inout CaptureRequest) -> Void] {
                let captured = try world.captured(mode) {
                    $0.udp = udp
                    change(&$0)
                }
                #expect(try world.pod.python(Resolver.asker, PodWorld.outside4, "7001", "x").line() == "real: x")
                try captured.capture.uninstall(CapturedPod.id)
                for listener in captured.workload.datagramListeners { close(listener.socket) }
            }
        }
        server.stop()
    }

    @Test(arguments: CapturedPod.modes) func whatIsGoneFromTheRulesIsDrift(mode: CaptureMode) throws {
        let world = try PodWorld()
        let captured = try world.captured(mode) { $0.udp = .proxy }
        try world.pod.run("ip", "rule", "del", "fwmark", "0x223/0xfff")
        try world.pod.run("nft", "flush", "chain", "inet", "trammel", "datagrams_in")
        let drift = try captured.capture.rules(of: CapturedPod.id).drift
        #expect(drift.contains { $0.contains("0x223") })
        #expect(drift.contains { $0.contains("datagrams_in") })
        for listener in captured.workload.datagramListeners { close(listener.socket) }
    }

    @Test func thousandsOfDestinationsAreOneLookup() throws {
        let many = try (0..<3000).map { try destination("10.\($0 / 250).\($0 % 250).0/30:\(1000 + $0 % 7)") }
        let plans = try [many, Array(many.prefix(1))].map { allowed in
            var request = CaptureRequest(target: .namespace(.name("pod")))
            request.udp = .policy
            request.udpAllowed = allowed
            return CapturePlan(
                settings: CaptureSettings(), request: request, agent: try TestAgent.cgroup.get().reference,
                outboundMode: .tproxy)
        }
        #expect(plans[0].table.chains == plans[1].table.chains)
        let namespace = try TestNamespace()
        try NetworkNamespace(.path(namespace.path)).inside(home: try NetworkNamespace.ofTheAgent()) {
            var nft = try NftSocket()
            try nft.replace(plans[0].table)
        }
        let text = try namespace.run("nft", "list", "set", "inet", "trammel", "udp_allowed_ports4")
        #expect(text.components(separatedBy: "/30").count - 1 == 3000)
    }
}

/// The smallest relay: takes the next datagram off the listeners of a workload and answers it.
struct Carrier {
    let turned: [TurnedDatagrams]

    init(_ captured: CapturedPod) throws { try self.init(captured.workload, captured.capture) }

    init(_ workload: OpenedWorkload, _ capture: WorkloadCapture) throws {
        turned = try workload.datagramListeners.map {
            try TurnedDatagrams(adopting: $0, of: workload.id, capture: capture)
        }
    }

    /// Waits for a datagram, and answers `re: ` and what it said, or refuses it.
    func next(seconds: Int32 = 5, refusing refusal: DatagramRefusal? = nil) throws -> TurnedDatagram? {
        var polled = turned.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
        guard poll(&polled, nfds_t(polled.count), seconds * 1000) > 0,
            let ready = polled.firstIndex(where: { $0.revents != 0 })
        else { return nil }
        var buffer = [UInt8](repeating: 0, count: 65536)
        guard let datagram = try buffer.withUnsafeMutableBytes({ try turned[ready].receive(into: $0) }) else {
            return nil
        }
        if let refusal {
            turned[ready].refuse(refusal, from: datagram.destination, to: datagram.client)
        } else {
            let answer = Array("re: ".utf8) + buffer.prefix(datagram.count)
            let sent = answer.withUnsafeBytes {
                turned[ready].send($0, from: datagram.destination, to: datagram.client)
            }
            #expect(sent)
        }
        return datagram
    }
}
