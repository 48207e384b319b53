import TrammelCore
import TrammelPolicy
import TrammelTelemetry

/// How the resolving of endpoints' names goes: `trammel_dns_resolution_…`.
struct ResolutionMetrics: Sendable {
    private let overUDP, overTCP: AgentCounter
    private let answered, denied, refused, malformed, foreign, timeouts, unreachable: AgentCounter
    private let changes: AgentCounter
    private let fresh, stale, unresolved: AgentGauge
    /// Questions that wait for an answer.
    let underWay = QueueDepth(limit: ResolverLimits().window)

    init(_ metrics: AgentMetrics) {
        func questions(_ transport: String) -> AgentCounter {
            metrics.counter(
                "trammel_dns_resolution_questions_total",
                help: "Questions asked to keep the names of endpoints resolved.", labels: [("transport", transport)])
        }
        func results(_ result: String) -> AgentCounter {
            metrics.counter(
                "trammel_dns_resolution_results_total",
                help: "What came of the questions about the names of endpoints.", labels: [("result", result)])
        }
        func names(_ state: String) -> AgentGauge {
            metrics.gauge(
                "trammel_dns_resolution_names", help: "Names of endpoints, by what is known of their addresses.",
                labels: [("state", state)])
        }
        metrics.queue("resolver_questions", underWay)
        overUDP = questions("udp")
        overTCP = questions("tcp")
        answered = results("answered")
        denied = results("denied")
        refused = results("refused")
        malformed = results("malformed")
        foreign = results("foreign")
        timeouts = results("timeout")
        unreachable = results("unreachable")
        changes = metrics.counter(
            "trammel_dns_resolution_changes_total", help: "Times that what is known of an endpoint's name changed.")
        fresh = names("fresh")
        stale = names("stale")
        unresolved = names("unresolved")
    }

    func count(from old: ResolverTally, to new: ResolverTally) {
        for (counter, field) in [
            (overUDP, \ResolverTally.overUDP), (overTCP, \.overTCP), (denied, \.denied), (refused, \.refused),
            (malformed, \.malformed), (foreign, \.foreign), (timeouts, \.timeouts), (unreachable, \.unreachable),
        ] where new[keyPath: field] > old[keyPath: field] {
            counter.add(new[keyPath: field] - old[keyPath: field])
        }
        // What is counted with a name of its own is not counted as an answer as well.
        let good = { (tally: ResolverTally) in tally.answered - tally.denied - tally.refused }
        answered.add(good(new) - good(old))
    }

    /// - Parameters:
    ///   - old: nil for a name that is new.
    ///   - new: nil for one that is not wanted any more.
    func changed(from old: ResolvedAddresses?, to new: ResolvedAddresses?) {
        if new != nil { changes.add() }
        old.map { gauge($0).add(-1) }
        new.map { gauge($0).add(1) }
    }

    private func gauge(_ value: ResolvedAddresses) -> AgentGauge {
        switch value.state {
        case .fresh: fresh
        case .stale: stale
        case .unresolved: unresolved
        }
    }
}
