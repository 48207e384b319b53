/// What one workload may take of the agent, over all loops and both directions.
package struct WorkloadLimits: Sendable {
    /// Open connections; the next is reset.
    package var connections = 16_384
    /// Connections that are taken up in a second over the long run; more wait in the kernel's queue.
    package var connectionRate = 20_000
    /// Connections that are taken up at once before that rate is kept to.
    package var connectionBurst = 20_000
    /// HTTP requests under way to an upstream; the next is answered 503.
    package var requests = 16_384
    /// Sockets of its connections, flows of UDP and DNS queries, those onward included. At the limit the next connection is
    /// reset, and a request that needs one more socket is answered 503, a DNS query SERVFAIL.
    package var descriptors = Int.max
    /// Bytes that wait in the agent for whoever reads slowly. Beyond it little is read at a time, new connections are
    /// reset and new requests answered 503.
    package var memory = Int.max

    package init() {}
}

/// Which limit of a workload's was felt.
package enum WorkloadLimit: String, Sendable, CaseIterable {
    case connections
    case connectionRate = "connection_rate"
    case descriptors
    case memory
    case requests

    /// The setting that says how much.
    package var setting: String {
        switch self {
        case .connections: "limits.connectionsPerWorkload"
        case .connectionRate: "limits.connectionRatePerWorkload"
        case .descriptors: "limits.descriptorsPerWorkload"
        case .memory: "limits.memoryPerWorkload"
        case .requests: "limits.requestsPerWorkload"
        }
    }
}
