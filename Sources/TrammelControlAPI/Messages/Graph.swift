/// `GET /v1/graph`: who has called whom within a window of time.
package struct TrafficGraph: Codable, Hashable, Sendable {
    /// The seconds that the numbers are over: what was asked for, or the agent's age where that is less.
    package var windowSeconds: Double
    /// In the order of source, destination, protocol.
    package var edges: [TrafficEdge]

    package init(windowSeconds: Double, edges: [TrafficEdge]) {
        self.windowSeconds = windowSeconds
        self.edges = edges
    }
}

/// All calls of one kind between two workloads.
package struct TrafficEdge: Codable, Hashable, Sendable {
    /// `namespace/name`; `unknown` for a caller that no agent knows.
    package var source: String
    /// `namespace/name` of the workload that answered; `unknown` where none was reached or it is not known.
    package var destination: String
    /// The service that was called, `reviews.default.svc.cluster.local`; `PassthroughCluster` and `BlackHoleCluster` as
    /// Istio has them.
    package var service: String
    /// `http`, `grpc` or `tcp`.
    package var `protocol`: String
    /// Requests per second, or connections opened per second for `tcp`.
    package var rate: Double
    /// Requests, or connections opened, within the window.
    package var requests: UInt64
    /// Of those the ones answered 5xx, or not at all.
    package var errors: UInt64
    /// Milliseconds, estimated within the buckets of the histogram; nil for `tcp` and without requests.
    package var p50: Double?
    package var p90: Double?
    package var p99: Double?
    package var bytesSent: UInt64
    package var bytesReceived: UInt64
    package var mutualTLS: Bool

    package init(
        source: String, destination: String, service: String, protocol: String, rate: Double, requests: UInt64,
        errors: UInt64, p50: Double? = nil, p90: Double? = nil, p99: Double? = nil, bytesSent: UInt64 = 0,
        bytesReceived: UInt64 = 0, mutualTLS: Bool = false
    ) {
        self.source = source
        self.destination = destination
        self.service = service
        self.protocol = `protocol`
        self.rate = rate
        self.requests = requests
        self.errors = errors
        self.p50 = p50
        self.p90 = p90
        self.p99 = p99
        self.bytesSent = bytesSent
        self.bytesReceived = bytesReceived
        self.mutualTLS = mutualTLS
    }
}
