import Foundation
import Testing
import TrammelCore
import TrammelGoldenRules
import TrammelTestSupport

@testable import TrammelCapture

/// The rules by iptables as they are, beside the rules as they should be, in both variants.
@Suite(.kernel) struct IptablesRulesTests {
    static let ways = CapturedPod.everyWay.filter { $0.backend != .nftables }

    private static func programs(_ way: CaptureWay) -> (v4: String, v6: String) {
        guard case .iptables(let variant) = way.backend else { return ("", "") }
        return ("iptables-\(variant.rawValue)", "ip6tables-\(variant.rawValue)")
    }

    private static func run(_ namespace: TestNamespace, _ line: String) throws {
        try namespace.run(line.split(separator: " ").map(String.init))
    }

    @Test(arguments: ways) func countersAreShown(way: CaptureWay) throws {
        let world = try PodWorld()
        let captured = try world.captured(way)
        let client = try world.pod.dial(PodWorld.virtual4, 80)
        #expect(captured.acceptor.next() != nil)
        client.finish()
        let rules = try captured.capture.rules(of: CapturedPod.id)
        #expect(rules.drift == [])
        #expect(rules.text.contains("[1:60] -A TRAMMEL_"), "\(rules.text)")
        #expect(rules.text.contains("# \(Self.programs(way).v6)-save"))
    }

    /// Whatever was done to the rules is said, and mended by putting them in place again.
    @Test(arguments: ways) func meddlingIsSeenAndMended(way: CaptureWay) throws {
        let (v4, v6) = Self.programs(way)
        let chain = way.mode == .tproxy ? "mangle" : "nat"
        let meddling = [
            ("\(v4) -t mangle -F TRAMMEL_PREROUTING", "iptables: mangle TRAMMEL_PREROUTING lacks the rule: "),
            ("\(v6) -t \(chain) -D TRAMMEL_OUTPUT 1", "ip6tables: \(chain) TRAMMEL_OUTPUT lacks the rule: -m cgroup"),
            ("\(v4) -t \(chain) -I TRAMMEL_OUTPUT -j RETURN", "not Trammel's: -j RETURN"),
            ("\(v4) -t mangle -D PREROUTING -j TRAMMEL_PREROUTING", "mangle PREROUTING lacks the rule: -j TRAMMEL_PRE"),
            ("\(v4) -t mangle -A PREROUTING -j TRAMMEL_PREROUTING", "mangle PREROUTING has more rules"),
            ("\(v6) -t mangle -I PREROUTING -j ACCEPT", "mangle PREROUTING begins with rules of others"),
            ("\(v4) -t mangle -N TRAMMEL_STRANGER", "a chain TRAMMEL_STRANGER that should not be there"),
            ("\(v4) -t filter -F", "filter INPUT lacks the rule: -j TRAMMEL_REFUSE"),
            ("ip rule del fwmark 0x539/0xfff", "IPv4 routing rule for mark 0x539"),
            ("sysctl -qw net.ipv4.tcp_fwmark_accept=0", "net/ipv4/tcp_fwmark_accept is 0"),
        ]
        let world = try PodWorld()
        let captured = try world.captured(way, InstalledRulesTests.everything)
        for (command, said) in meddling {
            try Self.run(world.pod, command)
            let drift = try captured.capture.rules(of: CapturedPod.id).drift
            #expect(drift.contains { $0.contains(said) }, "\(command): \(drift)")
            try captured.capture.install(captured.workload)
            #expect(try captured.capture.rules(of: CapturedPod.id).drift == [], "\(command)")
        }
        let client = try world.pod.dial(PodWorld.virtual4, 80)
        #expect(captured.acceptor.next()?.destination == "\(PodWorld.virtual4):80")
        client.finish()
    }

    /// Rules for UDP, and for machines behind interfaces of the namespace, which need not be there.
    @Test(arguments: ways) func datagramsAreJudgedToo(way: CaptureWay) throws {
        let world = try PodWorld()
        let servers = try [(PodWorld.outside4, "5001"), (PodWorld.outside4, "5002"), (PodWorld.outside6, "5002")].map {
            try world.outside.python(Resolver.server, $0.0, $0.1)
        }
        for server in servers { #expect(server.line() == "ready") }
        let captured = try world.captured(way) {
            $0.udp = .policy
            $0.udpAllowed = ["192.0.2.0/24:5001", "2001:db8::/32"].compactMap { DatagramDestination($0) }
            $0.excludedOutboundInterfaces = ["eth7", "eth8"]
            $0.outboundFromInterfaces = ["tap0"]
        }
        #expect(try captured.capture.rules(of: CapturedPod.id).drift == [])
        func ask(_ host: String, _ port: String) throws -> String? {
            try world.pod.python(Resolver.asker, host, port, "x").line()
        }
        #expect(try ask(PodWorld.outside4, "5001") == "real: x")
        #expect(try ask(PodWorld.outside6, "5002") == "real: x")
        #expect(try ask(PodWorld.outside4, "5002") != "real: x")
        for server in servers { server.stop() }
    }

    @Test(arguments: ways) func aFlushByAnotherToolIsSeen(way: CaptureWay) throws {
        let (v4, _) = Self.programs(way)
        let world = try PodWorld()
        let captured = try world.captured(way)
        for table in ["mangle", "nat", "filter"] {
            try world.pod.run(["sh", "-c", "\(v4) -t \(table) -F; \(v4) -t \(table) -X"])
        }
        let drift = try captured.capture.rules(of: CapturedPod.id).drift
        #expect(drift == ["iptables: all chains of Trammel's are missing: nothing is captured"])
        try captured.capture.install(captured.workload)
        #expect(try captured.capture.rules(of: CapturedPod.id).drift == [])
    }

    /// Rules of others stay where they are, in order, and theirs only.
    @Test(arguments: ways) func rulesOfOthersStay(way: CaptureWay) throws {
        let (v4, v6) = Self.programs(way)
        let world = try PodWorld()
        for program in [v4, v6] {
            try Self.run(world.pod, "\(program) -t mangle -A PREROUTING -p tcp -m tcp --dport 7 -j ACCEPT")
            try Self.run(world.pod, "\(program) -t filter -A INPUT -p tcp -m tcp --dport 8 -j DROP")
            try Self.run(world.pod, "\(program) -t nat -N OTHERS")
            try Self.run(world.pod, "\(program) -t nat -A OUTPUT -j OTHERS")
            try Self.run(world.pod, "\(program) -P FORWARD DROP")
        }
        let before = try PodWorld.state(of: world.pod)
        let captured = try world.captured(way) { $0.capturesDNS = true }
        #expect(try captured.capture.rules(of: CapturedPod.id).drift == [])
        let client = try world.pod.dial(PodWorld.virtual4, 80)
        #expect(captured.acceptor.next()?.destination == "\(PodWorld.virtual4):80")
        client.finish()
        try captured.capture.uninstall(CapturedPod.id)
        #expect(RuleTextTests.normalized(try PodWorld.state(of: world.pod)) == RuleTextTests.normalized(before))
    }

    /// A table that iptables-nft made for Trammel stays when somebody else has come to use it.
    @Test func aTableThatOthersCameToUseStays() throws {
        let world = try PodWorld()
        let way = CaptureWay(backend: .iptables(.nft), mode: .redirect)
        let captured = try world.captured(way)
        try Self.run(world.pod, "iptables-nft -t nat -A OUTPUT -p tcp -m tcp --dport 7 -j ACCEPT")
        try captured.capture.uninstall(CapturedPod.id)
        let rules = try world.pod.run("iptables-nft-save")
        #expect(rules.contains("*nat") && rules.contains("-A OUTPUT -p tcp -m tcp --dport 7 -j ACCEPT"))
        #expect(!rules.contains("*mangle") && !rules.contains("TRAMMEL"))
    }

    @Test("row 19: chains are made, made again and taken away without a complaint", arguments: ways)
    func againAndAgain(way: CaptureWay) throws {
        let world = try PodWorld()
        let before = try PodWorld.state(of: world.pod)
        let captured = try world.captured(way)
        let first = RuleTextTests.normalized(try PodWorld.state(of: world.pod))
        for _ in 0..<3 { try captured.capture.install(captured.workload) }
        #expect(RuleTextTests.normalized(try PodWorld.state(of: world.pod)) == first)
        for _ in 0..<2 { try captured.capture.uninstall(CapturedPod.id) }
        #expect(try PodWorld.state(of: world.pod) == before)
    }

    /// One backend holds a namespace: the next one takes the other's rules away, and gives back what was before both.
    @Test(arguments: [
        [CaptureBackend.nftables, .iptables(.nft), .iptables(.legacy)],
        [.iptables(.legacy), .iptables(.nft), .nftables],
    ])
    func aSuccessorWithAnotherBackend(backends: [CaptureBackend]) throws {
        let world = try PodWorld()
        let before = try PodWorld.state(of: world.pod)
        for backend in backends {
            let captured = try world.captured(CaptureWay(backend: backend, mode: .tproxy))
            #expect(try captured.capture.rules(of: CapturedPod.id).drift == [], "\(backend)")
            let client = try world.pod.dial(PodWorld.outside4, 80)
            #expect(captured.acceptor.next()?.destination == "\(PodWorld.outside4):80")
            client.finish()
            if backend == backends.last { try captured.capture.uninstall(CapturedPod.id) }
        }
        #expect(try PodWorld.state(of: world.pod) == before)
    }

    @Test("row 17: the variant that a namespace uses already is joined", arguments: IptablesVariant.allCases)
    func theVariantInUseIsJoined(variant: IptablesVariant) throws {
        let world = try PodWorld()
        try Self.run(world.pod, "\(variant.name) -A INPUT -p tcp -m tcp --dport 7 -j DROP")
        let workload = try Self.opened(world)
        #expect(workload.plan.backend == .iptables(variant))
        #expect(workload.modeReason.contains("it holds the 1 rule of others"), "\(workload.modeReason)")
        #expect(workload.warning == nil)
    }

    @Test("row 17: a namespace that uses both variants is warned of") func bothVariantsInUse() throws {
        let world = try PodWorld()
        try Self.run(world.pod, "iptables-legacy -A INPUT -p tcp -m tcp --dport 7 -j DROP")
        try Self.run(world.pod, "ip6tables-nft -A INPUT -p tcp -m tcp --dport 7 -j DROP")
        let workload = try Self.opened(world)
        let usual = IptablesPrograms.find().first?.variant
        #expect(usual.map { .iptables($0) } == workload.plan.backend)
        #expect(workload.warning?.contains("iptables-nft (1 rule)") == true, "\(workload.warning ?? "")")
        #expect(workload.warning?.contains("iptables-legacy (1 rule)") == true)
    }

    @Test func whatIptablesCannotDoIsRefusedByName() throws {
        let world = try PodWorld()
        let before = try PodWorld.state(of: world.pod)
        var settings = CaptureSettings()
        settings.backend = .iptables
        let capture = try TestAgent.capture(settings)
        var open = CaptureRequest(target: .path(world.pod.path))
        open.failureMode = .open
        let cgroup = CaptureRequest(target: .cgroup(try TestAgent.cgroup.get().reference))
        for (request, word) in [
            (open, "failure mode open"), (cgroup, "cgroup /trammel/"),
            (CaptureRequest(target: .user(1000)), "user 1000"),
        ] {
            let refusal = #expect(throws: TrammelError.self) { try capture.open(request, as: CapturedPod.id) }
            #expect(refusal?.code == "iptables-cannot")
            #expect(refusal?.message.contains(word) == true, "\(refusal?.message ?? "")")
        }
        #expect(try PodWorld.state(of: world.pod) == before)
    }

    private static func opened(_ world: PodWorld) throws -> OpenedWorkload {
        var settings = CaptureSettings()
        settings.backend = .iptables
        let workload = try TestAgent.capture(settings).open(
            CaptureRequest(target: .path(world.pod.path)), as: CapturedPod.id)
        ListenerSockets.Listeners(streams: workload.listeners, dns: workload.dnsListeners).close()
        return workload
    }

    /// What a program of iptables says when it refuses is passed on, and where.
    @Test(arguments: IptablesVariant.allCases) func aRefusalSaysWhatIptablesSaid(variant: IptablesVariant) throws {
        let world = try PodWorld()
        let programs = try IptablesPrograms.find(variant)
        let home = try NetworkNamespace.ofTheAgent()
        let refusal = #expect(throws: TrammelError.self) {
            try NetworkNamespace(.path(world.pod.path)).inside(home: home) {
                try IptablesCommand.restore(
                    "*mangle\n:TRAMMEL_X - [0:0]\n-A TRAMMEL_X -m nowhere -j ACCEPT\nCOMMIT\n", programs, .v4)
            }
        }
        #expect(refusal?.message.contains("nowhere") == true, "\(refusal?.message ?? "")")
        #expect(refusal?.message.contains("line 3") == true, "\(refusal?.message ?? "")")
        #expect(!(try PodWorld.state(of: world.pod)).contains("TRAMMEL"))
    }

    /// Of both variants, without doing it.
    @Test(arguments: GoldenRules.all) func programsTakeTheGoldenRules(_ golden: GoldenRules.Case) throws {
        let world = try PodWorld()
        var plan = CapturePlan(
            settings: CaptureSettings(), request: golden.request, agent: try TestAgent.cgroup.get().reference,
            outboundMode: golden.mode)
        plan.established = golden.established
        let home = try NetworkNamespace.ofTheAgent()
        for family in [IPAddress.Family.v4, .v6] {
            let text = IptablesRestore.install(try IptablesCapture.rules(of: plan, family), over: IptablesDump())
            for variant in IptablesVariant.allCases {
                let path = try IptablesPrograms.find(variant).path(family, .restore)
                let outcome = try NetworkNamespace(.path(world.pod.path)).inside(home: home) {
                    try IptablesCommand.run(path, ["--noflush", "--test"], input: text)
                }
                #expect(outcome.status == 0, "\(variant) \(family): \(outcome.errors)")
            }
        }
    }
}
