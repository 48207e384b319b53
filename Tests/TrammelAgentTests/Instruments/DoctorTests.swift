import Testing
import TrammelControlAPI
import TrammelCore
import TrammelProxy

@testable import TrammelAgent
@testable import TrammelCapture

/// What the doctor makes of what it finds.
@Suite struct DoctorTests {
    @Test func namesAskedPastDNS() {
        for (line, hasResolved, expected) in [
            ("hosts: files dns", true, DoctorCheck.State.ok),
            ("hosts:          mymachines resolve [!UNAVAIL=return] files myhostname dns", true, .warning),
            ("hosts: files resolve", true, .warning), ("hosts: files resolve [!UNAVAIL=return] dns", false, .ok),
            ("hosts: files dns resolve", true, .ok), ("passwd: files\n# hosts: resolve", true, .ok), ("", true, .ok),
        ] {
            let check = NameServices.verdict("default/a", line, hasResolved: hasResolved)
            #expect(check.state == expected, "\(line)")
            #expect((check.advice != nil) == (expected == .warning))
        }
        #expect(NameServices.hosts("hosts: a [x=y z=w] b # c") == ["a", "b"])
    }

    @Test func bothKindsOfIptables() {
        #expect(DoctorChecks.firewalls(nil, [], []).state == .ok)
        #expect(DoctorChecks.firewalls(nil, ["ip nat"], []).found == "rules of iptables-legacy: ip nat")
        #expect(DoctorChecks.firewalls(nil, [], ["ip nat"]).state == .ok)
        #expect(DoctorChecks.firewalls(nil, ["ip nat"], ["ip filter"]).state == .warning)
    }

    @Test func whatIsAlmostUsedUp() {
        #expect(DoctorChecks.descriptors(open: 79, limit: 100).state == .ok)
        #expect(DoctorChecks.descriptors(open: 80, limit: 100).state == .warning)
        #expect(DoctorChecks.disk("state", "/", freeBytes: 10 << 20, percent: 50).state == .warning)
        #expect(DoctorChecks.disk("state", "/", freeBytes: 100 << 30, percent: 3).state == .ok)
        #expect(DoctorChecks.disk("state", "/", freeBytes: 500 << 20, percent: 3).state == .warning)
        #expect(DoctorChecks.sourcePorts([.other: 9]).state == .ok)
        #expect(DoctorChecks.sourcePorts([.shared: 1]).state == .warning)
        #expect(DoctorChecks.sourcePorts([.none: 2]).found.contains("2 got none"))
        #expect(DoctorChecks.logDrops(0).state == .ok && DoctorChecks.logDrops(1).state == .warning)
        var load = ConntrackLoad(count: 10, limit: 100)
        #expect(DoctorChecks.conntrack(nil, load, isPressed: false).state == .ok)
        load.dropped = 1
        #expect(DoctorChecks.conntrack(nil, load, isPressed: false).state == .warning)
    }

    @Test func memoryThatIsNearlyUsedUp() {
        let budget = MemoryBudget(asked: 100 << 20)
        let roomy = DoctorChecks.memory(resident: 79 << 20, budget, [])
        #expect(roomy.map(\.state) == [.ok])
        #expect(roomy[0].found == "the agent holds 79 MiB of 100 MiB (79 %): limits.memory")
        let max = MemoryBudget.KernelBound(folder: "/c/a", file: "memory.max", used: 80 << 20, limit: 100 << 20)
        let high = MemoryBudget.KernelBound(folder: "/c", file: "memory.high", used: 96 << 20, limit: 100 << 20)
        let low = MemoryBudget.KernelBound(folder: "/c", file: "memory.max", used: 79 << 20, limit: 100 << 20)
        let full = DoctorChecks.memory(resident: 80 << 20, budget, [max, high, low])
        #expect(full.map(\.name) == ["memory", "cgroup memory", "cgroup memory"])
        #expect(full.allSatisfy { $0.state == .warning && $0.meaning != nil && $0.advice != nil })
        #expect(full[1].found.contains("/c/a holds 80 MiB of 100 MiB (80 %) (memory.max)"))
        #expect(full[1].meaning?.contains("ends") ?? false && full[1].advice?.contains("MemoryMax=") ?? false)
        #expect(full[2].meaning?.contains("slows") ?? false && full[2].advice?.contains("MemoryHigh=") ?? false)
    }

    @Test func memoryOfTCP() {
        func check(_ held: Int) -> DoctorCheck { DoctorChecks.tcpMemory((held, 1000, 1500), pageSize: 1 << 20) }
        #expect(check(799).state == .ok)
        #expect(
            check(799).found
                == "TCP holds 799 MiB on the node; the kernel holds back from 1000 MiB on, and has no more "
                + "beyond 1500 MiB (net.ipv4.tcp_mem)")
        for (held, word) in [(800, "before long"), (1000, "are slow"), (1500, "drops")] {
            #expect(check(held).state == .warning && check(held).meaning?.contains(word) ?? false)
            #expect(check(held).advice?.contains("net.ipv4.tcp_mem=\"1500 2000 3000\"") ?? false)
        }
    }

    @Test func whatTheNodeAllows() {
        func states(_ limits: NodeLimits) -> [String: DoctorCheck.State] {
            Dictionary(uniqueKeysWithValues: DoctorChecks.limits(limits).map { ($0.name, $0.state) })
        }
        let roomy = NodeLimits(files: (79, 100), tasks: (79, 100), tcpPages: (79, 100, 150))
        #expect(states(roomy) == ["files": .ok, "tasks": .ok, "tcp memory": .ok, "inotify": .ok])
        let full = NodeLimits(files: (80, 100), tasks: (80, 100), tcpPages: (80, 100, 150), inotify: 28)
        #expect(states(full).values.allSatisfy { $0 == .warning })
        #expect(DoctorChecks.inotify(28).advice == "sysctl -w fs.inotify.max_user_watches=524288")
        #expect(DoctorChecks.inotify(24).advice == "sysctl -w fs.inotify.max_user_instances=1024")
        #expect(states(NodeLimits.read())["files"] == .ok)
    }

    @Test func aClockThatWasSet() {
        let start = ClockReading(wall: WallTime(nanoseconds: 1_000_000_000_000), sinceBoot: 0)
        for (wall, elapsed, state) in [
            (1_060, 60, DoctorCheck.State.ok), (1_063, 60, .warning), (1_000, 60, .warning),
            // What an NTP client may have turned it by in a day, and what not.
            (1_000 + 86_400 + 40, 86_400, .ok), (1_000 + 86_400 + 60, 86_400, .warning),
        ] {
            let now = ClockReading(
                wall: WallTime(nanoseconds: Int64(wall) * 1_000_000_000), sinceBoot: Int64(elapsed) * 1_000_000_000)
            #expect(
                DoctorChecks.clock(since: start, now: now, isSynchronised: true).state == state, "\(wall) \(elapsed)")
        }
        let unkept = DoctorChecks.clock(since: start, now: start, isSynchronised: false)
        #expect(unkept.state == .ok && unkept.found.contains("NTP"))
    }

    @Test func versionsThatAreTooOld() {
        for (kernel, systemd, state) in [
            ("6.1.0-18-amd64", 252, DoctorCheck.State.ok), ("5.13.0", nil, .ok), ("5.10.0-28-amd64", 252, .warning),
            ("6.1.0", 245, .warning), ("custom", nil, .ok),
        ] {
            let check = DoctorChecks.versions(NodeVersions(kernel: kernel, systemd: systemd))
            #expect(check.state == state, "\(kernel)")
            #expect(check.found.contains(kernel))
        }
    }

    @Test func rulesOfOthers() {
        var tools = OtherTools()
        tools.note(
            saved: "*filter\n:FORWARD DROP [0:0]\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\nCOMMIT", family: "ip"
        )
        tools.note(chain: "ISTIO_OUTPUT", in: "ip nat", isClosed: false)
        tools.note(chain: "out", in: "inet trammel", isClosed: false)
        #expect(tools.found == ["Docker": ["DOCKER-USER in ip filter"], "Istio": ["ISTIO_OUTPUT in ip nat"]])
        #expect(tools.closedForward == ["ip filter"])
        // On the node another mesh may be; in a workload it takes the same connections.
        #expect(DoctorChecks.otherTools(nil, tools).map(\.state) == [.ok])
        #expect(DoctorChecks.otherTools(nil, tools, isBridged: true).map(\.state) == [.ok, .warning])
        #expect(DoctorChecks.otherTools("default/a", tools).map(\.state) == [.warning])
    }

    @Test func ipv6() {
        var found = NamespaceDiagnosis()
        for (before, now, state) in [
            (true, true, DoctorCheck.State.ok), (false, false, .ok), (true, false, .warning), (false, true, .failure),
        ] {
            found.hasIPv6 = now
            #expect(DoctorChecks.ipv6("a", found, atAttach: before).state == state)
        }
    }

    @Test func aReportIsHealthyWithoutFindings() {
        #expect(DoctorReport(checks: [DoctorCheck("a", .ok, ""), DoctorCheck("b", .skipped, "")]).healthy)
        #expect(!DoctorReport(checks: [DoctorCheck("a", .warning, "")]).healthy)
        #expect(!DoctorReport(checks: [DoctorCheck("a", .failure, "")]).healthy)
    }

    @Test func anEpisodeOfPressureIsToldOnce() {
        var pressure = ConntrackPressure(threshold: 80)
        func note(_ count: Int) -> ConntrackPressure.Change? {
            pressure.note(ConntrackLoad(count: count, limit: 100), at: "node")
        }
        #expect(note(79) == nil)
        #expect(note(80) == .began)
        #expect([85, 79, 81, 71].allSatisfy { note($0) == nil })
        #expect(note(69) == .ended)
        #expect(note(69) == nil)
        #expect(note(90) == .began)
        pressure.keepOnly([])
        #expect(pressure.pressed.isEmpty)
    }

    @Test func leaksAreLoggedByTheHandful() throws {
        var log = LeakLog()
        let name = WorkloadName(namespace: "default", name: "a")
        let end = try #require(IPEndpoint("192.0.2.1:80"))
        let leak = FlowLeak(
            workload: WorkloadID(rawValue: 1), transport: .tcp, direction: .outbound, source: end, destination: end,
            reason: "no rules", at: .now())
        func note(_ seconds: UInt64) -> String? {
            log.note(.init(workload: name, leak: leak), at: MonotonicTime(nanoseconds: seconds * 1_000_000_000))
        }
        #expect(
            note(1) == "a flow of default/a went past the agent: outbound tcp 192.0.2.1:80 > 192.0.2.1:80: no rules")
        for _ in 0..<40 { #expect(note(2) == nil) }
        #expect(note(12)?.hasSuffix("(and 40 more since the last such line)") == true)
        #expect(log.recent.count == LeakLog.most)
        log.forget(name)
        #expect(log.recent.isEmpty)
    }
}
