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
