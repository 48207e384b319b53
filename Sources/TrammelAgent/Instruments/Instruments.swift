import Logging
import TrammelCapture
import TrammelConfig
import TrammelCore
import TrammelTelemetry

/// What conntrack and the sockets tell, over time: logs leaks and tables that fill up, and keeps what the metrics and
/// the doctor ask for.
actor Instruments {
    private let mesh: Mesh
    private let capture: WorkloadCapture
    private let logger: Logger
    private let metrics: FlowMetrics
    private var pressure: ConntrackPressure
    private var leaks = LeakLog()
    private(set) var tables: [FlowMetrics.Table] = []
    private var refreshed = MonotonicTime(nanoseconds: 0)
    /// Connections that were refused because their destination was not known: how many, and why the last ones were.
    private(set) var unknown: (count: UInt64, last: String?) = (0, nil)
    private let refusals = QueueDepth(limit: 64)
    private var lastUnknownLine = MonotonicTime(nanoseconds: 0)

    init(mesh: Mesh, capture: WorkloadCapture, settings: AgentSettings, metrics: AgentMetrics, logger: Logger) {
        self.mesh = mesh
        self.capture = capture
        self.logger = logger
        self.metrics = FlowMetrics(metrics)
        metrics.queue("unknown_destinations", refusals)
        pressure = ConntrackPressure(threshold: Double(settings.limits.conntrackWarning))
    }

    /// Until the task is cancelled.
    func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                for await leak in self.capture.flows.leaks {
                    self.capture.flows.waitingLeaks.left()
                    await self.note(leak)
                }
            }
            group.addTask {
                while !Task.isCancelled { await self.lookAtSockets() }
            }
            group.addTask {
                while (try? await Task.sleep(for: Self.betweenLoads)) != nil { await self.lookAtTables() }
            }
        }
    }

    private static let betweenLoads = Duration.seconds(5)

    /// Each workload once a second. At most a hundredth of a core, however many there are, and a moment at a time, so
    /// that no call waits for it.
    @concurrent private nonisolated func lookAtSockets() async {
        let workloads = capture.flows.withSockets
        guard !workloads.isEmpty else {
            try? await Task.sleep(for: .seconds(1))
            return
        }
        for workload in workloads {
            let took = ContinuousClock().measure { capture.flows.lookAtSockets(of: workload) }
            let share = Duration.seconds(1) / workloads.count
            guard (try? await Task.sleep(for: max(share, took * 100))) != nil else { return }
        }
    }

    /// Of the last quarter of an hour.
    var recentLeaks: [LeakLog.Entry] {
        let since = WallTime.now().nanoseconds - 900_000_000_000
        return leaks.recent.filter { $0.leak.at.nanoseconds >= since }
    }
    var pressed: Set<String> { pressure.pressed }

    private func note(_ leak: FlowLeak) async {
        // One that is detached by now leaks no more.
        guard let name = await mesh.attachments.values.first(where: { $0.id == leak.workload })?.name else { return }
        let line = leaks.note(LeakLog.Entry(workload: name, leak: leak), at: .now())
        if let line { logger.about(name).warning("\(line)") }
    }

    // MARK: Tables

    /// Each that has entries.
    func lookAtTables() async {
        let attached = await mesh.attachments.values.map { (name: $0.name, id: $0.id) }.sorted { $0.name < $1.name }
        let loads = await Self.loads(of: attached.map(\.id), capture)
        var tables: [FlowMetrics.Table] = []
        for (name, load) in zip([nil] + attached.map(\.name), loads) {
            guard let load, load.count > 0 || name == nil else { continue }
            let place = name.map { "\($0)" } ?? "node"
            let log = name.map(logger.about) ?? logger
            switch pressure.note(load, at: place) {
            case .began: log.warning("\(Self.words(name, load)); raise net.netfilter.nf_conntrack_max")
            case .ended: log.notice("\(Self.words(name, load)): that is enough room again")
            case nil: break
            }
            tables.append(
                FlowMetrics.Table(workload: name, load: load, isPressed: pressure.pressed.contains(place)))
        }
        pressure.keepOnly(Set(tables.map { $0.workload.map { "\($0)" } ?? "node" }))
        self.tables = tables
        metrics.set(tables)
    }

    @concurrent private static func loads(
        of workloads: [WorkloadID], _ capture: WorkloadCapture
    ) async -> [ConntrackLoad?] {
        ([nil] + workloads).map { capture.conntrackLoad(of: $0) }
    }

    static func words(_ workload: WorkloadName?, _ load: ConntrackLoad) -> String {
        let whose = workload.map { "of \($0)" } ?? "of the node"
        return "the conntrack table \(whose) holds \(load.count) of \(load.limit) entries (\(Int(load.percent)) %)"
    }

    // MARK: Flows

    /// Brings the metrics up to date; called before each scrape.
    func read() async {
        let now = MonotonicTime.now()
        if now.nanoseconds(since: refreshed) > 10_000_000_000 || refreshed.nanoseconds == 0 {
            refreshed = now
            await Self.refresh(capture.flows)
        }
        let names = await mesh.attachments.values.map { ($0.id, $0.name) }
        metrics.set(capture.flows.reports(), names: Dictionary(names) { first, _ in first })
    }

    @concurrent private static func refresh(_ flows: FlowWatch) async { flows.refresh() }

    /// What goes past the agent now.
    func flows() async -> [PassedFlow] {
        await Self.refresh(capture.flows)
        return capture.flows.passing()
    }

    /// A connection was refused because the kernel did not know where it was going. Called on a data loop; beyond as many
    /// as are looked into at a time, that it is counted has to do.
    nonisolated func lookInto(_ client: ClientAddress, of workload: WorkloadID) {
        guard refusals.admits() else { return }
        Task {
            await refused(client, of: workload)
            refusals.left()
        }
    }

    private func refused(_ client: ClientAddress, of workload: WorkloadID) async {
        // The kernel's word of a deleted entry may still be on its way.
        try? await Task.sleep(for: .milliseconds(50))
        let name = await mesh.attachments.values.first { $0.id == workload }?.name
        let fate = capture.flows.fate(of: client.endpoint, in: workload) ?? "the kernel tracks no such connection"
        let words = "a connection from \(client)\(name.map { " of \($0)" } ?? "") was refused: \(fate)"
        unknown = (unknown.count + 1, words)
        let now = MonotonicTime.now()
        guard now.nanoseconds(since: lastUnknownLine) > LeakLog.pause else { return }
        lastUnknownLine = now
        (name.map(logger.about) ?? logger).warning("\(words)")
    }
}
