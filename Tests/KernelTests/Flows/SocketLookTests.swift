import Foundation
import Glibc
import Testing
import TrammelCore
import TrammelTestSupport

@testable import TrammelCapture

/// What goes past the agent where nothing is tracked: seen in the sockets.
@Suite(.kernel) struct SocketLookTests {
    /// Connects, says so, and waits for the end of its input.
    static let held = """
        import socket, sys
        s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5); print("connected")
        if len(sys.argv) > 3: s.shutdown(socket.SHUT_WR); print("half")
        sys.stdin.readline()
        """
    /// Takes one connection, sends 1000 bytes and waits for the end of its input.
    static let taker = """
        import socket, sys
        host = sys.argv[1]
        s = socket.create_server((host, int(sys.argv[2])), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        print("ready"); c, _ = s.accept(); c.sendall(b"x" * 1000); print("taken"); sys.stdin.readline()
        """

    private static func hold(_ where_: TestNamespace, _ host: String, _ port: Int, half: Bool = false) throws
        -> TestChild
    {
        let child = try where_.start(
            ["python3", "-u", "-c", held, host, "\(port)"] + (half ? ["half"] : []), keepsInput: true)
        #expect(child.line() == "connected")
        if half { #expect(child.line() == "half") }
        return child
    }

    private static func take(_ where_: TestNamespace, _ host: String, _ port: Int) throws -> TestChild {
        let child = try where_.start(["python3", "-u", "-c", taker, host, "\(port)"], keepsInput: true)
        #expect(child.line() == "ready")
        return child
    }

    @Test(arguments: CapturedPod.modes, [false, true]) func noFalseAlarm(mode: CaptureMode, isV6: Bool) throws {
        let host = isV6 ? PodWorld.outside6 : PodWorld.outside4
        let pod = isV6 ? PodWorld.pod6 : PodWorld.pod4
        let world = try PodWorld()
        var children = [try Self.take(world.outside, host, 79)]
        children.append(try Self.hold(world.pod, host, 79))
        let captured = try world.captured(mode) {
            $0.excludedOutboundPorts = [8080]
            $0.excludedInboundPorts = [8090]
        }
        // Captured, one of them half-closed; and inbound, carried on to the application.
        children.append(try Self.hold(world.pod, host, 81))
        let out = try #require(captured.acceptor.take())
        children.append(try Self.hold(world.pod, host, 82, half: true))
        let half = try #require(captured.acceptor.take())
        children.append(try Self.take(world.pod, pod, 8091))
        children.append(try Self.hold(world.outside, pod, 8091))
        let inward = try #require(captured.acceptor.take())
        let client = isV6 ? "fd77:1::1" : "10.77.1.1"
        let upstream = try captured.dial(pod, 8091, keeping: client)
        #expect(children[4].line() == "taken")
        // The agent's own, onward.
        children.append(try Self.take(world.outside, host, 83))
        let onward = try captured.dial(host, 83)
        // Excluded both ways, and within the pod.
        children.append(try Self.take(world.outside, host, 8080))
        children.append(try Self.hold(world.pod, host, 8080))
        children.append(try Self.take(world.pod, pod, 8090))
        children.append(try Self.hold(world.outside, pod, 8090))
        children.append(try Self.take(world.pod, pod, 7000))
        children.append(try Self.hold(world.pod, pod, 7000))

        let flows = captured.capture.flows
        for _ in 0..<4 { flows.lookAtSockets() }
        let report = try #require(flows.reports().first)
        #expect(report.leaks == [:])
        #expect(report.isTracked == (mode == .redirect))
        #expect(!report.totals.keys.contains { $0.reason == .leak })
        if mode == .tproxy {
            let kinds = [
                FlowKind(.tcp, .outbound, .excluded), FlowKind(.tcp, .inbound, .excluded),
                FlowKind(.tcp, .outbound, .older),
            ]
            #expect(Set(report.totals.keys) == Set(kinds), "\(report.totals)")
            for kind in kinds { #expect(report.totals[kind]?.flows == 1) }
            // 1000 bytes, to whoever began it.
            #expect(report.totals[kinds[0]]?.received.bytes == 1000)
            #expect(report.totals[kinds[1]]?.received.bytes == 1000)
        }
        withExtendedLifetime((upstream, onward)) {}
        for (socket, _) in [out, half, inward] { close(socket) }
        for child in children { child.stop() }
    }

    @Test("a connection that went past the agent is told of once, and can be ended", arguments: [false, true])
    func leaks(isV6: Bool) async throws {
        let host = isV6 ? PodWorld.outside6 : PodWorld.outside4
        let pod = isV6 ? PodWorld.pod6 : PodWorld.pod4
        let world = try PodWorld()
        let captured = try world.captured(.tproxy)
        try world.pod.run("nft", "flush", "ruleset")
        var children = [try Self.take(world.outside, host, 80), try Self.take(world.pod, pod, 8091)]
        children.append(try Self.hold(world.pod, host, 80))
        children.append(try Self.hold(world.outside, pod, 8091))
        let flows = captured.capture.flows
        flows.lookAtSockets()
        #expect(flows.reports().first?.leaks == [:])
        for _ in 0..<3 { flows.lookAtSockets() }
        #expect(flows.reports().first?.leaks == [.tcp: 2])
        var found: [FlowLeak] = []
        for _ in 0..<2 { found.append(try #require(await flows.nextLeak())) }
        let outward = try #require(found.first { $0.direction == .outbound })
        #expect(outward.destination == IPEndpoint(try #require(IPAddress(host)), 80))
        #expect(outward.reason.contains("the table trammel is missing"))
        let inward = try #require(found.first { $0.direction == .inbound })
        #expect(inward.destination == IPEndpoint(try #require(IPAddress(pod)), 8091))
        #expect(flows.passing().count == 2)
        for flow in flows.passing() { #expect(try flows.end(passed: flow.number)) }
        flows.lookAtSockets()
        #expect(flows.passing().isEmpty)
        for child in children { child.stop() }
    }

    @Test("row 11: a probe from outside the exemption arrives, whatever listens beside the agent")
    func probe() throws {
        let world = try PodWorld()
        let captured = try world.captured(.tproxy)
        // A wildcard listener on the very port that is dialled, and one on the agent's own port elsewhere.
        let wildcard = try world.pod.serve("0.0.0.0", 15021)
        let beside = try world.pod.serve(PodWorld.pod4, 15001)
        let target = try #require(captured.capture.outboundProbeTarget(of: CapturedPod.id, .v4))
        #expect("\(target)" == "240.240.255.255:15021")
        for (inside, target) in [
            (CapturedPod.id as WorkloadID?, target),
            (CapturedPod.id, IPEndpoint(try #require(IPAddress(PodWorld.outside4)), 15021)),
        ] {
            let child = try captured.capture.probe(inside: inside, .v4)
            let port = child.port
            #expect(port > 0)
            // Used by no other thread until this one is done.
            nonisolated(unsafe) let acceptor = captured.acceptor
            let answering = Thread { _ = acceptor.next(answer: CaptureProbe.greeting) }
            answering.start()
            let outcome = child.connect(to: target)
            #expect(outcome == .arrived)
        }
        let found = try captured.capture.diagnosis(of: CapturedPod.id)
        #expect(found.strangers.map(\.endpoint.description) == ["\(PodWorld.pod4):15001"])
        // Without the rules it does not.
        try world.pod.run("nft", "flush", "ruleset")
        let server = try world.outside.serve(PodWorld.outside4, 15021, "somebody else answers")
        let child = try captured.capture.probe(inside: CapturedPod.id, .v4)
        let outcome = child.connect(to: IPEndpoint(try #require(IPAddress(PodWorld.outside4)), 15021))
        #expect(outcome == .answeredByAnother)
        for other in [server, wildcard, beside] { other.stop() }
    }

    @Test("row 17: rules of both kinds of iptables are seen")
    func bothKindsOfIptables() throws {
        let world = try PodWorld()
        let captured = try world.captured(.tproxy)
        #expect(try captured.capture.diagnosis(of: CapturedPod.id).tools.legacyRules == [])
        #expect(try captured.capture.diagnosis(of: CapturedPod.id).tools.translatedRules == [])
        try world.pod.run("iptables-nft", "-A", "INPUT", "-p", "tcp", "--dport", "1", "-j", "DROP")
        try world.pod.run("iptables-legacy", "-t", "nat", "-L")
        let one = try captured.capture.diagnosis(of: CapturedPod.id)
        #expect(one.tools.translatedRules == ["ip filter"] && one.tools.legacyRules == [])
        try world.pod.run("iptables-legacy", "-A", "INPUT", "-p", "tcp", "--dport", "1", "-j", "DROP")
        try world.pod.run("ip6tables-legacy", "-t", "mangle", "-A", "OUTPUT", "-p", "tcp", "--dport", "1", "-j", "DROP")
        let both = try captured.capture.diagnosis(of: CapturedPod.id)
        #expect(both.tools.legacyRules == ["ip filter", "ip6 mangle"])
        #expect(both.tools.translatedRules == ["ip filter"])
    }
}
