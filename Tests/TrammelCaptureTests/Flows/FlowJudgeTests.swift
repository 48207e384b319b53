import Testing
import TrammelCore

@testable import TrammelCapture

/// What a flow is taken for, by its addresses and the plan alone.
@Suite struct FlowJudgeTests {
    private static let own = ["10.0.0.2", "fd00::2"].compactMap { IPAddress($0) }

    private static func judge(_ change: (inout CaptureRequest) -> Void = { _ in }) -> FlowJudge {
        var request = CaptureRequest(target: .path("/none"))
        request.capturesDNS = true
        change(&request)
        let plan = CapturePlan(
            settings: CaptureSettings(), request: request, agent: CgroupReference(path: "/a", id: 1, level: 1),
            outboundMode: .redirect)
        return FlowJudge(plan: plan, own: Set(own))
    }

    private static func flow(
        _ source: String, _ destination: String, transport: UInt8 = 6, state: UInt8? = 1, mark: UInt32 = 0,
        answeredBy: String? = nil
    ) throws -> ConntrackFlow {
        let from = try #require(IPEndpoint(source))
        let to = try #require(IPEndpoint(destination))
        let turned = try answeredBy.map { try #require(IPEndpoint($0)) } ?? to
        return ConntrackFlow(
            id: 1, transport: transport, original: .init(source: from, destination: to),
            reply: .init(source: turned, destination: from), mark: mark, tcpState: transport == 6 ? state : nil)
    }

    @Test func verdicts() throws {
        let judge = Self.judge {
            $0.excludedOutboundPorts = [8080]
            $0.excludedOutbound = [CIDR("192.0.2.128/25")].compactMap { $0 }
            $0.excludedInboundPorts = [8090]
        }
        let (pod, far) = ("10.0.0.2:4000", "192.0.2.1:80")
        let cases: [(ConntrackFlow, FlowVerdict)] = [
            (try Self.flow(pod, far, answeredBy: "127.0.0.1:15001"), .captured),
            (try Self.flow("[fd00::2]:4000", "[2001:db8::1]:80", answeredBy: "[::1]:15001"), .captured),
            (try Self.flow(pod, "192.0.2.1:53", transport: 17, answeredBy: "127.0.0.1:15053"), .captured),
            (try Self.flow(pod, far), .suspect(.outbound)),
            (try Self.flow(pod, far, answeredBy: "192.0.2.9:88"), .suspect(.outbound)),
            (try Self.flow(pod, "192.0.2.1:53", transport: 17), .suspect(.outbound)),
            (try Self.flow(pod, far, mark: 0xAB00_053C), .agents),
            (try Self.flow(pod, far, mark: 0x53D), .suspect(.outbound)),
            (try Self.flow(pod, "192.0.2.1:8080"), .passed(.outbound, .excluded)),
            (try Self.flow(pod, "192.0.2.129:80"), .passed(.outbound, .excluded)),
            (try Self.flow(pod, far, state: 3), .passed(.outbound, .midstream)),
            (try Self.flow(pod, "192.0.2.1:123", transport: 17), .passed(.outbound, .protocol)),
            (try Self.flow("10.0.0.2:0", "192.0.2.1:0", transport: 1), .passed(.outbound, .protocol)),
            (try Self.flow("192.0.2.1:4000", "10.0.0.2:80"), .inbound),
            (try Self.flow("192.0.2.1:4000", "10.0.0.2:8090"), .passed(.inbound, .excluded)),
            (try Self.flow("192.0.2.1:4000", "10.0.0.2:53", transport: 17), .passed(.inbound, .protocol)),
            (try Self.flow(pod, "10.0.0.2:80"), .local), (try Self.flow("127.0.0.1:1", "127.0.0.1:15001"), .local),
            (try Self.flow("10.0.0.9:1", "192.0.2.1:80"), .passed(.outbound, .forwarded)),
            (try Self.flow("[fd00::2]:1", "[fe80::1]:80"), .passed(.outbound, .linkLocal)),
            (try Self.flow(pod, "224.0.0.251:5353", transport: 17), .passed(.outbound, .linkLocal)),
        ]
        for (flow, expected) in cases { #expect(judge.verdict(flow) == expected, "\(flow.original) \(flow.transport)") }
    }

    @Test func whatWasThereBeforeIsOlder() throws {
        var request = CaptureRequest(target: .path("/none"))
        request.capturesDNS = false
        var plan = CapturePlan(
            settings: CaptureSettings(), request: request, agent: CgroupReference(path: "/a", id: 1, level: 1),
            outboundMode: .tproxy)
        let flow = try Self.flow("10.0.0.2:4000", "192.0.2.1:80")
        plan.established = [flow.original]
        #expect(FlowJudge(plan: plan, own: Set(Self.own)).verdict(flow) == .passed(.outbound, .older))
        // Nor is DNS captured, so nobody's datagram is amiss.
        let query = try Self.flow("10.0.0.2:4000", "192.0.2.1:53", transport: 17)
        #expect(FlowJudge(plan: plan, own: Set(Self.own)).verdict(query) == .passed(.outbound, .protocol))
    }

    @Test func includesTurnItAround() throws {
        let judge = Self.judge {
            $0.includedOutbound = [CIDR("10.0.0.0/8")].compactMap { $0 }
            $0.includedOutboundPorts = [443]
            $0.includedInboundPorts = [80]
        }
        for (destination, expected) in [
            ("10.1.1.1:80", FlowVerdict.suspect(.outbound)), ("192.0.2.1:443", .suspect(.outbound)),
            ("192.0.2.1:80", .passed(.outbound, .excluded)),
        ] {
            #expect(judge.verdict(try Self.flow("10.0.0.2:4000", destination)) == expected, "\(destination)")
        }
        #expect(judge.verdict(try Self.flow("10.9.9.9:1", "10.0.0.2:80")) == .inbound)
        #expect(judge.verdict(try Self.flow("10.9.9.9:1", "10.0.0.2:81")) == .passed(.inbound, .excluded))
    }

    @Test("datagrams that the agent carries are captured, and those that the rules let go are not")
    func datagrams() throws {
        func verdict(_ to: String, _ change: (inout CaptureRequest) -> Void = { _ in }) throws -> FlowVerdict {
            let judge = Self.judge {
                $0.udp = .proxy
                change(&$0)
            }
            return judge.verdict(try Self.flow("10.0.0.2:4000", to, transport: 17))
        }
        let passed = FlowVerdict.passed(.outbound, .protocol)
        #expect(try verdict("192.0.2.1:123") == .captured)
        #expect(try verdict("192.0.2.1:53") == .suspect(.outbound))
        #expect(try verdict("192.0.2.1:53") { $0.capturesDNS = false } == passed)
        #expect(try verdict("192.0.2.1:67") == passed)
        #expect(try verdict("192.0.2.1:123") { $0.excludedOutboundPorts = [123] } == passed)
        #expect(
            try verdict("192.0.2.1:123") { $0.excludedOutbound = [CIDR("192.0.2.0/24")].compactMap { $0 } } == passed)
        // What is included by port says nothing of datagrams.
        #expect(try verdict("192.0.2.1:123") { $0.includedOutboundPorts = [443] } == .captured)
        #expect(try verdict("192.0.2.1:123") { $0.includedOutbound = [CIDR("10.0.0.0/8")].compactMap { $0 } } == passed)
        #expect(
            try verdict("10.1.0.1:123") { $0.includedOutbound = [CIDR("10.0.0.0/8")].compactMap { $0 } } == .captured)
        // One that came in is answered by itself.
        let inward = try Self.flow("192.0.2.1:4000", "10.0.0.2:123", transport: 17)
        #expect(Self.judge { $0.udp = .proxy }.verdict(inward) == .passed(.inbound, .protocol))
    }

    @Test("on the host the mark of a connection says what became of it")
    func onHost() throws {
        var request = CaptureRequest(target: .user(7))
        request.udp = .proxy
        request.excludedOutboundPorts = [8080]
        var plan = CapturePlan(
            settings: CaptureSettings(), request: request, agent: CgroupReference(path: "/a", id: 1, level: 1),
            outboundMode: .tproxy)
        plan.place = .host(3)
        let judge = FlowJudge(plan: plan, own: Set(Self.own))
        let (host, far) = ("10.0.0.2:4000", "192.0.2.1:80")
        for (flow, expected) in [
            (try Self.flow(host, far, mark: 0x3222), FlowVerdict.captured),
            (try Self.flow(host, far, transport: 17, mark: 0x3223), .captured),
            (try Self.flow(host, far, transport: 17, mark: 0x353A), .passed(.outbound, .protocol)),
            (try Self.flow(host, "192.0.2.1:8080", mark: 0x353A), .passed(.outbound, .excluded)),
            (try Self.flow(host, far, mark: 0x353A), .suspect(.outbound)),
            (try Self.flow(host, far, mark: 0x353A, answeredBy: "127.133.0.3:15001"), .captured),
            (try Self.flow("[fd00::2]:1", "[2001:db8::1]:80", answeredBy: "[fd74:7261:6d6d:656c::3]:15001"), .captured),
            (try Self.flow(host, far, mark: 0x53C), .agents), (try Self.flow(host, far, mark: 0x539), .agents),
        ] {
            #expect(judge.verdict(flow) == expected, "\(flow.original) \(flow.mark)")
        }
        let settings = CaptureSettings()
        func index(_ flow: ConntrackFlow) -> UInt32? {
            HostOwners.index(flow, settings.marks, Set(settings.ports.all))
        }
        #expect(index(try Self.flow(host, far, mark: 0x1_253A)) == 0x12)
        #expect(index(try Self.flow(host, far, mark: 0xABC_D222)) == 0xABCD)
        #expect(index(try Self.flow(host, far, answeredBy: "127.133.1.2:15053")) == 0x102)
        #expect(index(try Self.flow(host, far, answeredBy: "127.133.1.2:80")) == nil)
        for mark: UInt32 in [0, 0x53A, 0x3539, 0x4_0000] { #expect(index(try Self.flow(host, far, mark: mark)) == nil) }
    }
}
