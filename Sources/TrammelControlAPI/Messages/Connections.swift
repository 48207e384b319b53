/// One of `GET /v1/connections`: a live connection that the agent carries, ordered by id.
package struct LiveConnection: Codable, Hashable, Sendable {
    package enum Direction: String, Codable, Hashable, Sendable {
        case outbound, inbound
    }

    package var id: UInt64
    /// `namespace/name` of the workload it was captured from.
    package var workload: String
    package var direction: Direction
    /// `address:port` of who connected.
    package var client: String
    /// Where it was going before it was captured.
    package var originalDestination: String
    /// Where the agent carries it; nil while it has not connected.
    package var upstream: String?
    /// `namespace/name` of the workload at the far end, where it is attached to this agent.
    package var peer: String?
    /// `http/1.1`, `tls`, `tcp`; `detecting` before the first bytes.
    package var `protocol`: String
    /// The server name of a TLS connection that is passed through.
    package var sni: String?
    /// The route, or the rule, that decided, in a few words.
    package var decision: String?
    package var source: SourceReference?
    /// The kernel's conntrack entry behind it, as `conntrack -L` would show it; nil where the kernel tracks none.
    package var conntrack: String?
    package var bytesSent: UInt64
    package var bytesReceived: UInt64
    /// Requests so far; nil for a connection without requests, or where they are not counted.
    package var requests: UInt64?
    package var ageSeconds: Double
    /// Since the last byte; nil where that is not measured.
    package var idleSeconds: Double?

    package init(
        id: UInt64, workload: String, direction: Direction, client: String, originalDestination: String,
        upstream: String? = nil, peer: String? = nil, protocol: String, sni: String? = nil, decision: String? = nil,
        source: SourceReference? = nil, conntrack: String? = nil, bytesSent: UInt64 = 0, bytesReceived: UInt64 = 0,
        requests: UInt64? = nil, ageSeconds: Double, idleSeconds: Double? = nil
    ) {
        self.id = id
        self.workload = workload
        self.direction = direction
        self.client = client
        self.originalDestination = originalDestination
        self.upstream = upstream
        self.peer = peer
        self.protocol = `protocol`
        self.sni = sni
        self.decision = decision
        self.source = source
        self.conntrack = conntrack
        self.bytesSent = bytesSent
        self.bytesReceived = bytesReceived
        self.requests = requests
        self.ageSeconds = ageSeconds
        self.idleSeconds = idleSeconds
    }
}

/// `DELETE /v1/connections/{id}`: which connection was ended.
package struct KilledConnection: Codable, Hashable, Sendable {
    package var id: UInt64

    package init(id: UInt64) { self.id = id }
}
