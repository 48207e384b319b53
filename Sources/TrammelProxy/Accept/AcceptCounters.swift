package import TrammelTelemetry

/// Why a captured connection was refused at accept.
package enum AcceptRefusal: String, Sendable, CaseIterable {
    /// The kernel did not know where it was going.
    case destinationUnknown = "destination_unknown"
    /// Meant for a capture port itself.
    case directHit = "direct_hit"
    /// The workload has as many connections as it may.
    case limitReached = "limit_reached"
    case policy = "policy"
}

/// What happened to connections before they were anybody's, over all loops.
package struct AcceptCounters: Sendable {
    /// In the order of `AcceptRefusal.allCases`.
    private let refusals: [AgentCounter]
    /// Accepting failed: out of file descriptors or memory.
    package let failures: AgentCounter

    package init(_ metrics: AgentMetrics) {
        refusals = AcceptRefusal.allCases.map { reason in
            metrics.counter(
                "trammel_connections_refused_total", help: "Captured connections refused at accept, by reason.",
                labels: [("reason", reason.rawValue)])
        }
        failures = metrics.counter(
            "trammel_accept_failures_total",
            help: "Times that a captured connection could not be accepted for want of descriptors or memory.")
    }

    func refused(_ refusal: AcceptRefusal) {
        for (index, reason) in AcceptRefusal.allCases.enumerated() where reason == refusal { refusals[index].add() }
    }

    package func count(of refusal: AcceptRefusal) -> UInt64 {
        zip(AcceptRefusal.allCases, refusals).first { $0.0 == refusal }?.1.current ?? 0
    }
}
