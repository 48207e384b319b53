import TrammelCore
import TrammelProxy
import TrammelTelemetry

/// Looks at the loops' counters every few seconds: for the graph of who calls whom, which is made of what has changed in
/// between, and to let go of the series of workloads and services that are no longer there.
actor TrafficWatch {
    private let mesh: Mesh
    private let dataPlane: DataPlane
    private let labels: LabelRegistry
    private let grace: UInt64
    private var history: TrafficHistory
    /// How much each loop had counted when it was last looked at.
    private var seen: [UInt64?]
    private let looks = ChangeQueue()
    /// The configuration, and the workloads, of which nothing is missing any more.
    private var settled: UInt64?
    private var lastRetirement = MonotonicTime.now()

    /// - Parameter keepDetached: nanoseconds that series are kept when nothing of theirs is there any more.
    init(mesh: Mesh, dataPlane: DataPlane, labels: LabelRegistry, loops: Int, keepDetached: UInt64) {
        self.mesh = mesh
        self.dataPlane = dataPlane
        self.labels = labels
        grace = keepDetached
        history = TrafficHistory(loops: loops, start: .now())
        seen = Array(repeating: nil, count: loops)
    }

    private static let interval: UInt64 = 5_000_000_000
    private static let betweenRetirements: UInt64 = 30_000_000_000

    /// Until the task is cancelled.
    func run() async {
        let pause = Duration.nanoseconds(Int64(min(Self.interval, grace / 2)))
        while (try? await Task.sleep(for: pause)) != nil {
            await look()
            await retire(at: .now())
        }
    }

    /// - Parameter window: nanoseconds.
    func graph(window: UInt64) async -> TrafficTotals {
        await look()
        return history.graph(window: window, registry: labels)
    }

    private func look() async {
        // One at a time, for each tells what came since the one before. Nothing in it throws.
        try? await looks.run { await self.lookNow() }
    }

    private func lookNow() async {
        let totals = await dataPlane.edgeTotals(since: seen)
        for (index, totals) in totals.enumerated() {
            if let totals { seen[index] = totals.changes }
        }
        history.sample(totals, at: .now())
    }

    private func retire(at now: MonotonicTime) async {
        let snapshot = await mesh.snapshot
        guard settled != snapshot.version,
            now.nanoseconds(since: lastRetirement) >= min(Self.betweenRetirements, grace / 2)
        else { return }
        lastRetirement = now
        let attached = await mesh.attachments.mapValues { PeerLabels($0.workload.identity) }
        var others: Set<WorkloadName> = []
        var hosts: Set<String> = []
        for port in snapshot.servicePorts {
            hosts.insert(port.host)
            for endpoint in port.defaultCluster.endpoints + port.defaultCluster.notReady {
                if let name = endpoint.identity?.name { others.insert(name) }
            }
        }
        let retired = labels.retire(absentFor: grace, at: now) { labels in
            let name = WorkloadName(namespace: labels.namespace, name: labels.workload)
            if let known = attached[name] { return known == labels }
            return others.contains(name)
        } serviceIsThere: { labels in
            hosts.contains(labels.host) || DataPlane.outsideTheMesh.contains(labels.host)
        }
        if retired.missing == 0 { settled = snapshot.version }
        if !retired.isEmpty { await dataPlane.forget(retired) }
    }
}
