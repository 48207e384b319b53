import Glibc
import Testing
import TrammelCore
import TrammelTestSupport

@testable import TrammelCapture

/// Attach, detach, and what a dead agent leaves behind: afterwards a namespace is exactly as it was.
@Suite(.kernel) struct LifecycleTests {
    @Test(arguments: CapturedPod.ways) func detachLeavesNothing(mode: CaptureWay) throws {
        let world = try PodWorld()
        try world.pod.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/fwmark_reflect")
        try world.pod.run("ip", "route", "del", "default")
        try world.pod.run("nft", "add table inet other { chain c { tcp dport 1 drop; } ; }")
        let before = try PodWorld.state(of: world.pod)
        let captured = try world.captured(mode) { $0.capturesDNS = true }
        let during = try PodWorld.state(of: world.pod)
        #expect(during != before)
        // Twice is once.
        try captured.capture.install(captured.workload)
        #expect(
            try RuleTextTests.normalized(PodWorld.state(of: world.pod)) == RuleTextTests.normalized(during))
        try captured.capture.uninstall(CapturedPod.id)
        #expect(try PodWorld.state(of: world.pod) == before)
        try captured.capture.uninstall(CapturedPod.id)
        #expect(try PodWorld.state(of: world.pod) == before)
        // And again.
        try captured.capture.install(captured.workload)
        let client = try world.pod.dial(PodWorld.virtual4, 80)
        #expect(captured.acceptor.next()?.destination == "\(PodWorld.virtual4):80")
        client.finish()
    }

    /// Every setting of the network, not only those that are known to be changed, in the pod and where the agent is.
    @Test(arguments: CapturedPod.ways) func everySettingIsAsItWas(mode: CaptureWay) throws {
        let world = try PodWorld()
        // Counts, and what the kernel draws by lot.
        let script =
            "find /proc/sys/net -type f -readable ! -name '*_count' ! -name '*secret*' ! -name '*_seed' "
            + "-exec grep -s . {} + | sort"
        func settings() throws -> (pod: String, here: String) {
            let child = try TestChild(["sh", "-c", script])
            return (try world.pod.run("sh", "-c", script), child.finish())
        }
        let before = try settings()
        #expect(before.pod.split(separator: "\n").count > 100)
        let captured = try world.captured(mode) { $0.capturesDNS = true }
        let during = try settings()
        #expect(during.pod != before.pod)
        #expect(during.here == before.here)
        try captured.capture.uninstall(CapturedPod.id)
        let after = try settings()
        #expect(after.pod == before.pod)
        #expect(after.here == before.here)
    }

    /// The next agent finds the dead one's rules, replaces them by its own, and still knows what was before both.
    @Test func aSuccessorTakesOverAndGivesBack() throws {
        let world = try PodWorld()
        let before = try PodWorld.state(of: world.pod)
        do { _ = try world.captured(.redirect) }
        let captured = try world.captured(.tproxy)
        #expect(try world.pod.run("nft", "list", "ruleset").contains("type route hook output"))
        let client = try world.pod.dial(PodWorld.outside4, 80)
        #expect(captured.acceptor.next()?.destination == "\(PodWorld.outside4):80")
        client.finish()
        do { try captured.capture.uninstall(CapturedPod.id) }
        #expect(try PodWorld.state(of: world.pod) == before)
    }

    @Test(arguments: CapturedPod.everyWay) func cleanupLeavesNothing(mode: CaptureWay) throws {
        let world = try PodWorld()
        try world.pod.run("ip", "route", "del", "default")
        let before = try PodWorld.state(of: world.pod)
        let untouched = try PodWorld.state(of: world.outside)
        do { _ = try world.captured(mode) { $0.capturesDNS = true } }
        // The agent is gone with no chance to say goodbye.
        #expect(try PodWorld.state(of: world.pod) != before)
        let targets: [NetworkNamespace.Target] = [.path(world.pod.path), .path(world.outside.path), .name("no-such")]
        let outcomes = try CaptureCleanup.run(in: targets)
        #expect(outcomes.map(\.target) == [.path(world.pod.path)])
        #expect(outcomes.compactMap(\.failure).isEmpty)
        #expect(try PodWorld.state(of: world.pod) == before)
        let after = try PodWorld.state(of: world.outside)
        #expect(after == untouched)
        #expect(try CaptureCleanup.run(in: targets).isEmpty)
    }

    /// Somebody flushed the ruleset, and with it the note of how things were: the rest goes all the same.
    @Test func cleanupWithoutTheTable() throws {
        let world = try PodWorld()
        let before = try PodWorld.state(of: world.pod)
        do { _ = try world.captured(.tproxy) }
        try world.pod.run("nft", "flush", "ruleset")
        let outcomes = try CaptureCleanup.run(in: [.path(world.pod.path)])
        #expect(outcomes.count == 1)
        #expect(try PodWorld.state(of: world.pod) == before)
    }

    @Test func discoveryFindsNamespacesOfProcesses() throws {
        let namespace = try TestNamespace()
        let sleeper = try namespace.start(["sleep", "60"])
        let identity = try NetworkNamespace(.path(namespace.path)).identity
        // nsenter becomes sleep at once, but not before this process has gone on.
        var found: [NetworkNamespaceIdentity] = []
        for _ in 0..<100 where !found.contains(identity) {
            found = CaptureCleanup.discover().compactMap { try? NetworkNamespace($0).identity }
        }
        #expect(found.contains(identity))
        #expect(Set(found).count == found.count)
        sleeper.stop()
    }

    @Test func autoSaysWhy() throws {
        let world = try PodWorld()
        let capture = try TestAgent.capture()
        let workload = try capture.open(CaptureRequest(target: .path(world.pod.path)), as: CapturedPod.id)
        let acceptor = Acceptor(workload)
        #expect(workload.plan.outboundMode == .tproxy)
        #expect(workload.modeReason.contains("conntrack"))
        #expect(Set(workload.facts.addresses.map(\.description)) == [PodWorld.pod4, PodWorld.pod6])
        #expect(workload.facts.hasIPv6)
        #expect(acceptor.next(seconds: 0) == nil)
    }

    /// Conntrack-free is what tproxy is for.
    @Test func tproxyLeavesConntrackOff() throws {
        let world = try PodWorld()
        let captured = try world.captured(.tproxy) { $0.capturesDNS = true }
        let client = try world.pod.dial(PodWorld.outside4, 80)
        #expect(captured.acceptor.next() != nil)
        client.finish()
        #expect(try world.pod.run("cat", "/proc/sys/net/netfilter/nf_conntrack_count") == "0\n")
    }

    @Test(arguments: CapturedPod.ways) func aNamespaceWithoutIPv6(mode: CaptureWay) throws {
        let world = try PodWorld()
        try world.pod.run(
            "sh", "-c", "for f in all default lo eth0; do echo 1 > /proc/sys/net/ipv6/conf/$f/disable_ipv6; done")
        let before = try PodWorld.state(of: world.pod)
        let captured = try world.captured(mode) { $0.capturesDNS = true }
        #expect(!captured.workload.facts.hasIPv6)
        #expect(captured.workload.listeners.allSatisfy { $0.address.endpoint.address.family == .v4 })
        let client = try world.pod.dial(PodWorld.virtual4, 80)
        #expect(captured.acceptor.next()?.destination == "\(PodWorld.virtual4):80")
        client.finish()
        try captured.capture.uninstall(CapturedPod.id)
        #expect(try PodWorld.state(of: world.pod) == before)
    }
}
