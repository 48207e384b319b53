package import TrammelCore

/// What a request's and a connection's record have in common: who talked to whom, when, how much, and how it ended.
///
/// Plain numbers only, so that filling it in costs a store each. Bytes and times are counted by the proxy as they
/// happen; the names behind the ids are looked up when the record is written.
package struct Flow: Sendable {
    /// The agent's number for the client's connection.
    package var connectionID: UInt64 = 0
    package var source = PeerID.unknown
    package var destination = PeerID.unknown
    package var service = ServiceID.unknown
    /// Whose record this is; `both` for a call between two workloads of this node.
    package var reporter = Reporter.source
    package var security = ConnectionSecurity.unknown

    /// The client.
    package var downstreamRemote: ClientAddress?
    /// In whose network namespace NAT may have given the client another port; nil where there is no NAT. Asked about when
    /// the flow ends, for by then the kernel has told of it.
    package var translatedIn: WorkloadID?
    /// Where the client meant to go: the address it sees as its peer.
    package var downstreamLocal: OriginalDestination?
    package var upstreamHost: UpstreamAddress?
    /// The agent's own end of the connection to the upstream.
    package var upstreamLocal: IPEndpoint?

    /// Body bytes (a connection: all bytes) from the client.
    package var bytesReceived: UInt64 = 0
    /// Body bytes (a connection: all bytes) to the client.
    package var bytesSent: UInt64 = 0
    package var flags: ResponseFlags = []

    package fileprivate(set) var start = MonotonicTime(nanoseconds: 0)
    package fileprivate(set) var end = MonotonicTime(nanoseconds: 0)
    /// Nil while the flow is open.
    package fileprivate(set) var reason: CloseReason?

    package init() {}

    /// Nanoseconds from start to end.
    var duration: UInt64 { end.nanoseconds(since: start) }

    /// Puts the client's own port in place of one that NAT gave it.
    mutating func showClient(_ clients: (any ClientTranslation)?) {
        guard let workload = translatedIn, let clients, let seen = downstreamRemote?.endpoint,
            let own = clients.client(seenAs: seen, in: workload)
        else { return }
        downstreamRemote = ClientAddress(own)
        translatedIn = nil
    }

    mutating func open(at now: MonotonicTime) {
        start = now
        end = now
    }

    /// The first close is the one that counts: false for every later one.
    mutating func close(_ reason: CloseReason, at now: MonotonicTime) -> Bool {
        guard self.reason == nil else { return false }
        self.reason = reason
        end = now
        return true
    }
}

/// Who vouches for a metric: the side of the call at which it was taken (Istio's label `reporter`).
package enum Reporter: UInt8, Hashable, Sendable, CaseIterable {
    case source = 1
    case destination = 2
    /// Source and destination are workloads of this node and the call crossed the agent once; it counts as both.
    case both = 3
}

/// How the two ends knew each other (Istio's label `connection_security_policy`).
package enum ConnectionSecurity: UInt8, Hashable, Sendable, CaseIterable {
    case unknown
    case none
    /// Mutual TLS, or the kernel's facts about both ends on one node.
    case mutualTLS
}
