package import TrammelTelemetry

/// How queries of attached workloads ended: `trammel_dns_requests_total`. Each query counts once.
package struct DNSMetrics: Sendable {
    enum Result: String, CaseIterable {
        /// By the mesh, with records.
        case answered
        /// By the mesh: the name exists, the type does not.
        case noData = "no_data"
        /// By the resolver that was asked.
        case forwarded
        /// The resolver did not answer in time.
        case timeout
        /// The resolver could not be reached; the workload was told so.
        case unreachable
        /// The workload left before the answer came.
        case cancelled
        /// FORMERR or BADVERS.
        case malformed
        /// No query, or one whose resolver the kernel did not know; dropped.
        case ignored
        /// The workload had too many queries waiting, or sockets open.
        case limit
    }

    enum Transport: String, CaseIterable {
        case udp, tcp
    }

    private let counters: [AgentCounter]

    package init(_ metrics: AgentMetrics) {
        counters = Transport.allCases.flatMap { transport in
            Result.allCases.map { result in
                metrics.counter(
                    "trammel_dns_requests_total", help: "DNS queries of attached workloads, by how they ended.",
                    labels: [("result", result.rawValue), ("transport", transport.rawValue)])
            }
        }
    }

    func count(_ result: Result, over transport: Transport, _ amount: Int = 1) {
        let results = Result.allCases
        let index = (results.firstIndex(of: result) ?? 0) + (transport == .udp ? 0 : results.count)
        counters[index].add(UInt64(amount))
    }
}
