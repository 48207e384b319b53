package import TrammelTelemetry

/// The datagrams that the agent carries: `trammel_udp_*`.
package struct UDPMetrics: Sendable {
    enum Drop: String, CaseIterable {
        /// The workload has as many flows as it may.
        case limit
        /// No resource allows it: REGISTRY_ONLY.
        case denied
        /// QUIC, which is refused for the workload.
        case quic
        /// The service has no endpoint.
        case noUpstream = "no_upstream"
        /// The network, or the host at the far end, has said that it cannot be delivered.
        case unreachable
        /// The kernel had no room for it, on the way out or back.
        case overflow
        /// Longer than what a packet holds.
        case tooLong = "too_long"
        /// Sent to the agent's own port, or to where the kernel does not know.
        case destinationUnknown = "destination_unknown"
        /// The agent has no descriptor left, or its workload is gone.
        case agent
    }

    enum Direction: String, CaseIterable {
        case sent, received
    }

    let flows: AgentGauge
    let opened: AgentCounter
    private let datagrams: [AgentCounter]
    private let bytes: [AgentCounter]
    private let drops: [AgentCounter]

    package init(_ metrics: AgentMetrics) {
        flows = metrics.gauge("trammel_udp_flows", help: "Flows of UDP that the agent carries now.")
        opened = metrics.counter("trammel_udp_flows_opened_total", help: "Flows of UDP that the agent has carried.")
        datagrams = Direction.allCases.map {
            metrics.counter(
                "trammel_udp_datagrams_total",
                help: "Datagrams carried: sent by attached workloads, and received by them in answer.",
                labels: [("direction", $0.rawValue)])
        }
        bytes = Direction.allCases.map {
            metrics.counter(
                "trammel_udp_bytes_total", help: "The bytes of these datagrams.", labels: [("direction", $0.rawValue)])
        }
        drops = Drop.allCases.map {
            metrics.counter(
                "trammel_udp_drops_total", help: "Datagrams of attached workloads that were not carried, by reason.",
                labels: [("reason", $0.rawValue)])
        }
    }

    func count(_ direction: Direction, _ bytes: Int) {
        let index = direction == .sent ? 0 : 1
        datagrams[index].add()
        self.bytes[index].add(UInt64(bytes))
    }

    func count(_ drop: Drop) { drops[Drop.allCases.firstIndex(of: drop) ?? 0].add() }
}
