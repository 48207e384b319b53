import Synchronization
import TrammelCapture
import TrammelCore
import TrammelTelemetry

/// The metrics of what goes past the agent and of the conntrack tables: by workload, and within it by fixed lists.
final class FlowMetrics: Sendable {
    struct Table: Sendable {
        /// Nil for the node's own.
        let workload: WorkloadName?
        let load: ConntrackLoad
        let isPressed: Bool
    }

    private struct Rows: Sendable {
        var flows: [(name: WorkloadName, report: FlowReport)] = []
        var tables: [Table] = []
    }

    private let rows = Mutex(Rows())

    func set(_ reports: [FlowReport], names: [WorkloadID: WorkloadName]) {
        let flows = reports.compactMap { report in names[report.workload].map { (name: $0, report: report) } }
            .sorted { $0.name < $1.name }
        rows.withLock { $0.flows = flows }
    }

    func set(_ tables: [Table]) { rows.withLock { $0.tables = tables } }

    init(_ metrics: AgentMetrics) {
        func flows(_ name: String, _ help: String, _ value: @escaping @Sendable (FlowTotals) -> UInt64) {
            metrics.family(name, help: help, isCounter: true) { [self] in
                rows.withLock(\.flows).flatMap { name, report in
                    report.totals.sorted { Self.text($0.key) < Self.text($1.key) }.map { kind, totals in
                        AgentMetrics.Sample(Self.labels(name) + Self.labels(kind), Double(value(totals)))
                    }
                }
            }
        }
        flows("trammel_passed_flows_total", "Flows of attached workloads that were not carried, by why.") { $0.flows }
        let traffic = "of attached workloads that were not carried"
        flows("trammel_passed_sent_bytes_total", "Bytes, from whoever began the flow, \(traffic).") { $0.sent.bytes }
        flows("trammel_passed_received_bytes_total", "Bytes, to whoever began the flow, \(traffic).") {
            $0.received.bytes
        }
        flows("trammel_passed_packets_total", "Packets both ways \(traffic), where the kernel tracks.") {
            $0.sent.packets &+ $0.received.packets
        }
        metrics.family(
            "trammel_capture_leaks_total",
            help: "Flows of attached workloads that should have gone to the agent and did not.", isCounter: true
        ) { [self] in
            rows.withLock(\.flows).flatMap { name, report in
                FlowProtocol.allCases.filter { [.tcp, .udp].contains($0) || report.leaks[$0] != nil }.map {
                    AgentMetrics.Sample(
                        Self.labels(name) + [("protocol", $0.rawValue)], Double(report.leaks[$0] ?? 0))
                }
            }
        }
        metrics.family(
            "trammel_conntrack_events_lost_total",
            help: "How often the kernel left conntrack events out, so that the whole table was read.", isCounter: true
        ) { [self] in
            rows.withLock(\.flows).filter(\.report.isTracked).map {
                AgentMetrics.Sample(Self.labels($0.name), Double($0.report.eventsLost))
            }
        }
        func tables(
            _ name: String, _ help: String, isCounter: Bool = false, _ value: @escaping @Sendable (Table) -> Double
        ) {
            metrics.family(name, help: help, isCounter: isCounter) { [self] in
                rows.withLock(\.tables).map { table in
                    AgentMetrics.Sample(
                        [("scope", table.workload == nil ? "node" : "workload")]
                            + (table.workload.map(Self.labels) ?? []), value(table))
                }
            }
        }
        tables("trammel_conntrack_table_entries", "Entries of conntrack tables that are in use.") {
            Double($0.load.count)
        }
        tables("trammel_conntrack_table_limit", "Entries that the kernel allows that table.") { Double($0.load.limit) }
        tables("trammel_conntrack_table_pressed", "1 while the table is fuller than limits.conntrackWarning.") {
            $0.isPressed ? 1 : 0
        }
        tables("trammel_conntrack_drops_total", "Packets dropped because the table was full.", isCounter: true) {
            Double($0.load.dropped)
        }
        tables(
            "trammel_conntrack_early_drops_total", "Entries that gave way to others in a full table.", isCounter: true
        ) { Double($0.load.earlyDropped) }
        tables(
            "trammel_conntrack_insert_failed_total", "Packets whose entry could not be put into the table.",
            isCounter: true
        ) { Double($0.load.insertFailed) }
    }

    private static func labels(_ name: WorkloadName) -> AgentMetrics.Labels {
        [("workload", name.name), ("workload_namespace", name.namespace)]
    }

    private static func labels(_ kind: FlowKind) -> AgentMetrics.Labels {
        [
            ("protocol", kind.transport.rawValue), ("direction", kind.direction.rawValue),
            ("reason", kind.reason.rawValue),
        ]
    }

    private static func text(_ kind: FlowKind) -> String {
        "\(kind.transport.rawValue) \(kind.direction.rawValue) \(kind.reason.rawValue)"
    }
}
