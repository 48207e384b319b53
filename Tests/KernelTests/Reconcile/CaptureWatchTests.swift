import Glibc
import Testing
import TrammelCore
import TrammelTestSupport

@testable import TrammelCapture

/// What others do to a captured namespace, and how soon it is as it was.
@Suite(.kernel) struct CaptureWatchTests {
    @Test("row 17, row 18: what is changed by iptables-legacy, of which no event tells, is put back within a second")
    func legacyMeddlingIsMended() async throws {
        let world = try PodWorld()
        let captured = try world.captured(CaptureWay(backend: .iptables(.legacy), mode: .redirect))
        var rhythm = CaptureWatch.Rhythm()
        rhythm.pace.free = .max
        let watched = Watched(captured.capture, rhythm)
        let before = LegacyRules.fingerprint()
        for meddling in [
            "iptables-legacy -t nat -F", "ip6tables-legacy -t mangle -F",
            "iptables-legacy -t nat -I TRAMMEL_OUTPUT -j RETURN",
            "iptables-legacy -t nat -D OUTPUT -j TRAMMEL_OUTPUT",
        ] {
            try world.pod.run("sh", "-c", meddling)
            let begin = ContinuousClock.now
            _ = try #require(await watched.repair(saying: " "), "\(meddling)")
            #expect(ContinuousClock.now - begin < .seconds(1.2), "\(meddling)")
            #expect(try captured.capture.rules(of: CapturedPod.id).drift == [], "\(meddling)")
        }
        // Of the test's own namespace, which nobody has touched.
        #expect(LegacyRules.fingerprint() == before)
    }

    @Test(
        "row 13, row 18: what another tool takes away is put back within a second, and told",
        arguments: CapturedPod.modes)
    func meddlingIsMended(mode: CaptureMode) async throws {
        let world = try PodWorld()
        let captured = try world.captured(mode) { $0.capturesDNS = true }
        var rhythm = CaptureWatch.Rhythm()
        rhythm.pace.free = .max
        let watched = Watched(captured.capture, rhythm)
        #expect(watched.blindness == nil)
        let meddling: [(command: String, said: String, part: CapturePart)] = [
            ("nft flush ruleset", "the table trammel is missing", .table),
            ("nft delete table inet trammel", "the table trammel is missing", .table),
            ("nft flush chain inet trammel out", "lacks the rule: socket cgroupv2", .rules),
            ("nft insert rule inet trammel pre accept", "not Trammel's: immediate", .rules),
            ("nft add chain inet trammel stranger", "a chain stranger", .rules),
            // As firewalld and a hand-written /etc/nftables.conf begin.
            (
                "printf 'flush ruleset\\ntable inet filter { chain i { type filter hook input priority 0; }; }' | nft -f -",
                "the table trammel is missing", .table
            ),
            ("ip rule del fwmark 0x539/0xfff", "IPv4 routing rule for mark 0x539", .routing),
            // A look between two of these finds but a part of it, and gives the virtual addresses a route.
            (
                "ip rule flush; ip rule add lookup main pref 32766; ip rule add lookup default pref 32767",
                "rout", .routing
            ),
            ("ip -6 rule del fwmark 0x539/0xfff", "IPv6 routing rule for mark 0x539", .routing),
            ("ip route flush table 133", "IPv4 route of table 133", .routing),
            ("ip -6 route flush table 133", "IPv6 route of table 133", .routing),
            (
                "ip route del 240.240.0.0/16; ip route del default", "no route to the virtual addresses 240.240.0.0/16",
                .routing
            ),
            ("sysctl -qw net.ipv4.tcp_fwmark_accept=0", "net/ipv4/tcp_fwmark_accept is 0", .sysctl),
            ("ip link set lo down; ip link set lo up", "IPv6 route of table 133", .routing),
        ]
        var named = 0
        for (command, said, part) in meddling {
            try world.pod.run("sh", "-c", command)
            // Without a pause, for the thread that mends is another one, and a report may be told late.
            let begin = ContinuousClock.now
            while try !captured.capture.rules(of: CapturedPod.id).drift.isEmpty,
                ContinuousClock.now - begin < .seconds(3)
            {}
            #expect(ContinuousClock.now - begin < .seconds(1), "\(command)")
            let repair = try #require(
                await watched.repair(saying: said), "\(command), and told was: \(watched.passedOver)")
            #expect(repair.parts.contains(part), "\(command): \(repair.parts)")
            // One that has ended before its event is read has no name any more.
            if repair.author?.hasPrefix("nft (process ") ?? false { named += 1 }
            #expect(try captured.capture.rules(of: CapturedPod.id).drift == [], "\(command)")
        }
        #expect(named > 0)
        let client = try world.pod.dial(PodWorld.virtual4, 80)
        #expect(captured.acceptor.next()?.destination == "\(PodWorld.virtual4):80")
        client.finish()
    }

    /// Each change of ours is an event as well: the first repair is the one that is due to others.
    @Test func ourOwnChangesAreNoDrift() async throws {
        let world = try PodWorld()
        let captured = try world.captured(.tproxy)
        let watched = Watched(captured.capture)
        for _ in 0..<20 {
            try captured.capture.uninstall(CapturedPod.id)
            try captured.capture.install(captured.workload)
        }
        try world.pod.run("ip", "route", "flush", "table", "133")
        let repair = try #require(await watched.next { if case .repaired(let repair) = $0 { repair } else { nil } })
        #expect(repair.count == 1)
        #expect(repair.drift.allSatisfy { $0.contains("133") }, "\(repair.drift)")
    }

    @Test("row 18: a tool that fights is met with patience, not with a busy loop")
    func fighting() async throws {
        let world = try PodWorld()
        let captured = try world.captured(.tproxy)
        var rhythm = CaptureWatch.Rhythm()
        rhythm.pace = RepairPace.Rhythm(free: 2, first: 100, longest: 400, calm: 3000)
        let watched = Watched(captured.capture, rhythm)
        let fighter = try world.pod.start(["sh", "-c", "for i in $(seq 60); do nft flush ruleset; sleep 0.05; done"])
        let contested = await watched.next {
            if case .repaired(let repair) = $0, repair.isContested { repair.drift } else { nil }
        }
        #expect(contested?.contains { $0.contains("the table trammel is missing") } ?? false)
        fighter.finish()
        // Three seconds of it: two at once, then after 100, 200, 400, 400… ms. One more after the end at most.
        var repairs = 0
        while try !captured.capture.rules(of: CapturedPod.id).drift.isEmpty {
            repairs = try #require(
                await watched.next { if case .repaired(let repair) = $0 { repair.count } else { nil } })
        }
        #expect(repairs <= 14, "\(repairs)")
    }

    @Test("an interface that is renamed, and addresses that change, are known")
    func interfaces() async throws {
        let world = try PodWorld()
        let captured = try world.captured(.tproxy)
        let watched = Watched(captured.capture)
        try world.pod.run("ip", "link", "set", "eth0", "down")
        try world.pod.run("ip", "link", "set", "eth0", "name", "renamed")
        try world.pod.run("ip", "link", "set", "renamed", "up")
        try world.pod.run("ip", "address", "add", "10.77.1.9/24", "dev", "renamed")
        let facts = await watched.facts { facts in
            facts.interfaces.contains { $0.name == "renamed" && $0.address.description == "10.77.1.9" }
        }
        #expect(facts != nil)
        #expect(captured.capture.facts(of: CapturedPod.id)?.addresses.map(\.description).contains("10.77.1.9") ?? false)
        try world.pod.run("ip", "address", "del", "10.77.1.9/24", "dev", "renamed")
        #expect(await watched.facts { !$0.addresses.map(\.description).contains("10.77.1.9") } != nil)
        #expect(try captured.capture.rules(of: CapturedPod.id).drift == [])
    }

    @Test("row 26: IPv6 switched off and on while running", arguments: CapturedPod.modes)
    func switchingIPv6(mode: CaptureMode) async throws {
        let world = try PodWorld()
        let captured = try world.captured(mode)
        let watched = Watched(captured.capture)
        try world.pod.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
        #expect(await watched.facts { !$0.hasIPv6 } != nil)
        #expect(try captured.capture.rules(of: CapturedPod.id).drift == [])
        let client = try world.pod.dial(PodWorld.outside4, 80)
        #expect(captured.acceptor.next()?.destination == "\(PodWorld.outside4):80")
        client.finish()
        try world.pod.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=0")
        #expect(await watched.repair(saying: "IPv6 route of table 133") != nil)
        try world.pod.run("ip", "-6", "address", "add", "\(PodWorld.pod6)/64", "dev", "eth0", "nodad")
        try world.pod.run("ip", "-6", "route", "replace", "default", "via", "fd77:1::1")
        let again = try world.pod.dial(PodWorld.outside6, 80)
        #expect(captured.acceptor.next()?.destination == "[\(PodWorld.outside6)]:80")
        again.finish()
        #expect(try captured.capture.rules(of: CapturedPod.id).drift == [])
    }

    @Test("row 24: watching keeps no namespace alive")
    func nothingIsPinned() async throws {
        let outside = try TestNamespace()
        let capture = try TestAgent.capture()
        let watched = Watched(capture)
        do {
            let pod = try TestNamespace()
            try pod.connect(to: outside, addresses: ["10.77.1.2/24"], peerAddresses: ["10.77.1.1/24"])
            var request = CaptureRequest(target: .path(pod.path))
            request.failureMode = .open
            let workload = try capture.open(request, as: CapturedPod.id)
            let acceptor = Acceptor(workload)
            try capture.install(workload)
            try pod.run("nft", "flush", "ruleset")
            #expect(await watched.repair(saying: "trammel-before") != nil)
            withExtendedLifetime(acceptor) { capture.close(CapturedPod.id) }
        }
        // The pod's end of the pair goes with its namespace, and this one with it.
        let gone = try outside.run(
            "sh", "-c", "for i in $(seq 100); do ip link show eth0 >/dev/null 2>&1 || exit 0; sleep 0.01; done; ip link"
        )
        #expect(gone.isEmpty, "\(gone)")
    }
}

/// A watch and what it has told.
private final class Watched {
    private let watch: CaptureWatch
    var blindness: TrammelError? { watch.blindness }
    private var reports: AsyncStream<CaptureReport>.Iterator
    /// The last that was passed over, for whoever missed something.
    private(set) var passedOver = ""

    init(_ capture: WorkloadCapture, _ rhythm: CaptureWatch.Rhythm = .init()) {
        watch = CaptureWatch(capture, rhythm: rhythm)
        reports = watch.reports.makeAsyncIterator()
    }

    /// The first report that `pick` takes, within five seconds.
    func next<T>(_ pick: (CaptureReport.Event) -> T?) async -> T? {
        let deadline = Task { [watch] in
            try await Task.sleep(for: .seconds(5))
            watch.end()
        }
        defer { deadline.cancel() }
        while let report = await reports.next(isolation: #isolation) {
            if let found = pick(report.event) { return found }
            passedOver = "\(report.event)"
        }
        return nil
    }

    func repair(saying words: String) async -> CaptureReport.Repair? {
        await next { event in
            guard case .repaired(let repair) = event, repair.drift.contains(where: { $0.contains(words) }) else {
                return nil
            }
            return repair
        }
    }

    func facts(_ isWanted: (NamespaceFacts) -> Bool) async -> NamespaceFacts? {
        await next { event in
            if case .changed(let facts) = event, isWanted(facts) { facts } else { nil }
        }
    }
}
