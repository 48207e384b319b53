package import TrammelCore

/// What workloads take, and what the agent does without when it is short of memory.
extension DataPlane {
    /// Puts a step of shedding into force on every loop. To be called again while one lasts: connections become idle.
    package func shed(_ step: OverloadStep) async {
        _ = await loops.onEach { $0.shed(step, now: .now()) }
    }

    /// What each workload that has had connections takes now.
    package func uses() async -> [WorkloadID: WorkloadUseFacts] {
        let loops = await loops.onEach { loop in
            loop.shares.mapValues { (facts: $0.use.facts, requests: $0.requests, bytes: $0.waitingBytes) }
        }
        var uses: [WorkloadID: WorkloadUseFacts] = [:]
        for (id, share) in loops.joined() {
            // What the loops were lent says less than what they have.
            var facts = uses[id] ?? share.facts.withoutLoans
            facts.requests += share.requests
            facts.waitingBytes += share.bytes
            uses[id] = facts
        }
        return uses
    }

    /// How full the queues are that the data path itself has.
    package func queues() async -> [DataPathQueue: Int] {
        let spare = await loops.onEach { $0.spareBuffers.size }.max() ?? 0
        let dns = await dns.fullest()
        return [.spareBuffers: spare, .dnsQueries: dns.waiting, .dnsStreams: dns.streams]
    }

    /// How often a request was answered 503 for a limit of its workload's.
    package func limitedRequests() async -> [WorkloadLimit: UInt64] {
        await loops.onEach { $0.counters.limitedRequests }.reduce(into: [:]) { $0.merge($1, uniquingKeysWith: +) }
    }

    /// Idle connections that were closed for want of memory, and upstream connections that wait in pools now.
    package func idleness() async -> (shed: UInt64, pooled: Int) {
        await loops.onEach { ($0.counters.shedConnections, $0.pool.idleCount) }.reduce((0, 0)) {
            ($0.0 + $1.0, $0.1 + $1.1)
        }
    }
}

/// The queues of the data path, by their names in metrics.
package enum DataPathQueue: String, Sendable, CaseIterable {
    /// Of a workload: queries that wait for a resolver.
    case dnsQueries = "dns_queries"
    /// Of a workload: TCP connections to resolvers.
    case dnsStreams = "dns_streams"
    /// Of a loop: bytes of buffers that are kept for the next request.
    case spareBuffers = "spare_buffer_bytes"

    package var limit: Int {
        switch self {
        case .dnsQueries: DNSLimits().waiting
        case .dnsStreams: DNSLimits().streams
        case .spareBuffers: SpareBuffers.most
        }
    }
}

extension WorkloadUseFacts {
    fileprivate var withoutLoans: WorkloadUseFacts {
        var facts = self
        facts.requests = 0
        facts.waitingBytes = 0
        return facts
    }
}
