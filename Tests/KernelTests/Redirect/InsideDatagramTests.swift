import Testing
import TrammelCore
import TrammelTestSupport

@testable import TrammelCapture

extension ScopeTests {
    private static func ask(_ machine: Machine, _ host: String, _ port: String) throws -> String? {
        try machine.namespace.python(Resolver.asker, host, port, "x").line()
    }

    private static func serve(_ namespace: TestNamespace, _ host: String, _ port: String) throws -> TestChild {
        let server = try namespace.python(Resolver.server, host, port)
        #expect(server.line() == "ready")
        return server
    }

    @Test("row 29: datagrams of a machine inside a pod go by the workload's list", arguments: Case.all)
    func insideHeldToAList(_ test: Case) throws {
        let world = try PodWorld()
        let machine = try Machine(in: world, test)
        let servers =
            try ["7001", "7002", "7003", "443"].map { try Self.serve(world.outside, test.outside, $0) }
            + [Self.serve(machine.namespace, machine.address, "7100")]
        func whileCaptured(_ names: [String], _ body: () throws -> Void) throws {
            let captured = try world.captured(test.mode) {
                $0.outboundFromInterfaces = names
                $0.udp = .policy
                $0.quic = .refuse
                $0.excludedOutboundPorts = [7003]
                $0.udpAllowed = ["192.0.2.0/24:7001", "[2001:db8::/32]:7001"].compactMap { DatagramDestination($0) }
            }
            #expect(try captured.capture.rules(of: CapturedPod.id).drift == [])
            try body()
            try captured.capture.uninstall(CapturedPod.id)
            withExtendedLifetime(captured) {}
        }
        try whileCaptured(["tap0"]) {
            for (port, answer) in [
                ("7001", "real: x"), ("7002", "ConnectionRefusedError"), ("7003", "real: x"),
                ("443", "ConnectionRefusedError"),
            ] {
                let told = try Self.ask(machine, test.outside, port)
                #expect(told == answer, "\(port)")
            }
            // Whoever has sent first is answered.
            let told = try world.outside.python(Resolver.asker, machine.address, "7100", "x").line()
            #expect(told == "real: x")
        }
        // Where its interface is not named, it is nobody's.
        try whileCaptured(["tap7"]) {
            let answer = try Self.ask(machine, test.outside, "7002")
            #expect(answer == "real: x")
        }
        for server in servers { server.stop() }
    }

    @Test("row 29: datagrams of a machine inside a pod are carried by the agent", arguments: Case.all)
    func insideCarried(_ test: Case) throws {
        let world = try PodWorld()
        let machine = try Machine(in: world, test)
        let servers = [
            try Self.serve(world.outside, test.outside, "7000"),
            try Self.serve(machine.namespace, machine.address, "7100"),
        ]
        let captured = try world.captured(test.mode) {
            $0.capturesDNS = true
            $0.outboundFromInterfaces = ["tap0"]
            $0.udp = .proxy
        }
        #expect(try captured.capture.rules(of: CapturedPod.id).drift == [])
        let carrier = try Carrier(captured)
        let asker = try machine.namespace.python(Resolver.asker, test.outside, "7000", "x")
        let datagram = try #require(try carrier.next())
        #expect("\(datagram.destination)".contains(test.outside) && datagram.destination.endpoint.port == 7000)
        #expect("\(datagram.client)".contains(machine.address))
        #expect(asker.line() == "re: x")
        // What the agent refuses is told there too.
        let refused = try machine.namespace.python(Resolver.asker, test.outside, "7000", "x")
        #expect(try carrier.next(refusing: .portUnreachable) != nil)
        #expect(refused.line() == "ConnectionRefusedError")
        #expect(try world.outside.python(Resolver.asker, machine.address, "7100", "x").line() == "real: x")
        // None of it went past.
        captured.capture.flows.refresh()
        let totals = captured.capture.flows.reports().first?.totals ?? [:]
        let passed = totals[FlowKind(.udp, .outbound, .forwarded)]?.flows ?? 0
        #expect(passed == (test.mode == .redirect ? 1 : 0), "what was sent to the machine, and no more: \(totals)")
        withExtendedLifetime(carrier) {}
        try captured.capture.uninstall(CapturedPod.id)
        #expect(try Self.ask(machine, test.outside, "7000") == "real: x")
        for server in servers { server.stop() }
    }
}
