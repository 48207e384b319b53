import Synchronization
import TrammelCore
import TrammelProxy
import TrammelTelemetry

/// What each attached workload takes, for metrics, status and the list of workloads.
final class WorkloadUses: Sendable {
    private let latest = Mutex<[(name: WorkloadName, facts: WorkloadUseFacts)]>([])

    init(_ metrics: AgentMetrics) {
        gauge(metrics, "trammel_workload_connections", "Connections that a workload has open.") { $0.connections }
        gauge(metrics, "trammel_workload_requests", "HTTP requests of a workload that are under way to an upstream.") {
            $0.requests
        }
        gauge(
            metrics, "trammel_workload_descriptors",
            "Sockets of a workload's connections, flows of UDP and DNS queries, those onward included."
        ) {
            $0.descriptors
        }
        gauge(
            metrics, "trammel_workload_waiting_bytes",
            "Bytes that wait in the agent for a workload's connections to take them."
        ) { $0.waitingBytes }
        metrics.family(
            "trammel_workload_limited_total",
            help: "Times that a limit of a workload's held something back, by limit: a connection or request that was "
                + "refused; for connection_rate, a rest in taking up connections.", isCounter: true
        ) { [self] in
            latest.withLock { $0 }.flatMap { name, facts in
                facts.refused.map {
                    AgentMetrics.Sample(
                        [("workload", "\(name)"), ("limit", $0.limit.rawValue)], Double($0.count))
                }
            }
        }
    }

    private func gauge(
        _ metrics: AgentMetrics, _ name: String, _ help: String, _ value: @escaping @Sendable (WorkloadUseFacts) -> Int
    ) {
        metrics.family(name, help: help, isCounter: false) { [self] in
            latest.withLock { $0 }.map { AgentMetrics.Sample([("workload", "\($0.name)")], Double(value($0.facts))) }
        }
    }

    /// Called before each scrape.
    func read(_ names: [WorkloadID: WorkloadName], _ dataPlane: DataPlane) async {
        let uses = await dataPlane.uses()
        let named = uses.compactMap { id, facts in names[id].map { (name: $0, facts: facts) } }
            .sorted { $0.name < $1.name }
        latest.withLock { $0 = named }
    }
}

extension WorkloadUseFacts {
    /// Nanoseconds for which a limit that was felt is told of.
    private static let recent: UInt64 = 60_000_000_000

    /// The limits that were felt in the last minute, in a sentence each.
    func limited(at now: MonotonicTime) -> [String] {
        refused.filter { now.nanoseconds(since: $0.last) < Self.recent }.map { felt in
            let seconds = now.nanoseconds(since: felt.last) / 1_000_000_000
            let what =
                felt.limit == .connectionRate
                ? "had to wait with connections \(felt.count) times" : "was refused \(felt.count) times"
            return "it \(what), last \(seconds) s ago, for \(felt.limit.setting)"
        }
    }
}
