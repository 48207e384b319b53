import CNetfilter
import Glibc
package import TrammelCore

/// The accounts of one workload, for metrics.
package struct FlowReport: Sendable {
    package let workload: WorkloadID
    /// Whether the kernel tracks the workload's flows; where it does not, TCP alone is accounted for, without packets.
    package let isTracked: Bool
    package let totals: [FlowKind: FlowTotals]
    package let leaks: [FlowProtocol: UInt64]
    /// How often the kernel had to leave events out.
    package let eventsLost: UInt64
}

extension FlowWatch {
    /// In nanoseconds.
    private static let moment: UInt64 = 50_000_000

    /// Of every watched workload, as of the last event or look.
    package func reports() -> [FlowReport] {
        all.map { watched in
            watched.state.withLock { state in
                FlowReport(
                    workload: watched.id, isTracked: watched.isTracked,
                    totals: state.ledger.totals.merging(state.sockets.totals) { events, sockets in
                        var sum = events
                        sum.flows += sockets.flows
                        sum.sent += sockets.sent
                        sum.received += sockets.received
                        return sum
                    },
                    leaks: state.leaks, eventsLost: state.eventsLost)
            }
        }
    }

    /// Brings what living flows have carried up to date. Costs the length of the conntrack table where flows are
    /// tracked, and a look at the sockets where they are not: of all workloads while that takes no more than a moment,
    /// and else of those that have such flows.
    package func refresh() {
        host.withLock { $0 }?.refresh()
        let began = MonotonicTime.now()
        for watched in all where !watched.isOnHost {
            guard watched.isTracked else {
                let isInTime = MonotonicTime.now().nanoseconds(since: began) < FlowWatch.moment
                if isInTime || watched.state.withLock({ !$0.sockets.passing.isEmpty }) {
                    lookAtSockets(of: watched.id)
                }
                continue
            }
            guard watched.state.withLock({ !$0.ledger.passing.isEmpty }) else { continue }
            var flows: [ConntrackFlow] = []
            try? sockets.withNetworkNamespace(of: watched.id) {
                var table = try ConntrackSocket()
                try table.flows { flows.append($0) }
            }
            watched.state.withLock { state in
                for flow in flows { state.ledger.update(flow) }
            }
        }
    }

    /// The living flows that the agent does not carry, oldest first.
    package func passing() -> [PassedFlow] {
        all.flatMap { watched in
            watched.state.withLock { $0.ledger.living + $0.sockets.passing }
        }.sorted { $0.number < $1.number }
    }

    /// Ends a flow that the agent does not carry: TCP by aborting its socket, so that both ends see a reset; UDP and the
    /// like by forgetting its conntrack entry, so that the rules judge its next packet. TCP is never ended that way,
    /// for it would fall silent and not end.
    ///
    /// - Returns: false where there is no such flow (any more).
    package func end(passed number: UInt64) throws -> Bool {
        guard let flow = passing().first(where: { $0.number == number }) else { return false }
        return try sockets.withNetworkNamespace(of: flow.workload) {
            switch flow.handle {
            case .socket(let info):
                var diagnostics = try SocketDiagnostics()
                try diagnostics.destroy(info)
                return true
            case .conntrack(let entry) where entry.transport == UInt8(IPPROTO_TCP):
                var diagnostics = try SocketDiagnostics()
                let (source, destination) = (entry.original.source, entry.original.destination)
                let pairs = [(source, destination), (destination, source)]
                for (local, remote) in pairs {
                    guard let found = try diagnostics.socket(entry.transport, local, remote) else { continue }
                    try diagnostics.destroy(found.info)
                    return true
                }
                throw TrammelError(
                    .unavailable, code: "no-socket",
                    "flow \(number) has no socket in its workload's namespace: it is forwarded for another, or ending",
                    hint: "end it where its socket is; a TCP connection without its conntrack entry would fall silent")
            case .conntrack(let entry):
                var table = try ConntrackSocket()
                try table.delete(entry)
                return true
            }
        }
    }

    /// What became of a captured connection that the kernel cannot tell the destination of any more, in words; nil where
    /// nothing is known of the client.
    package func fate(of client: IPEndpoint, in workload: WorkloadID) -> String? {
        guard let watched = self[workload], watched.isTracked else { return nil }
        guard let known = watched.state.withLock({ $0.ledger.captured(by: client) }) else {
            return "conntrack never told of it: its table may be full, or its events were lost"
        }
        let was = "it was going to \(known.original.destination)"
        guard known.endedAt != nil else { return "\(was) and is still in conntrack's table" }
        return "\(was), but its conntrack entry was deleted: somebody flushed the table (conntrack -F, a firewall)"
    }
}
