package import TrammelCore

/// What the DNS says of one name that a ServiceEntry's endpoints bear.
///
/// A plain value, handed from whoever resolves names to the compiler; a snapshot never waits for a resolver. A name that
/// has not been asked for yet has none: the compiler takes it for one without addresses.
package struct ResolvedAddresses: Sendable, Hashable {
    /// Distinct and in ascending order, IPv4 first, so that a resolver that shuffles its answers changes nothing.
    package let addresses: [IPAddress]
    /// The one that the latest answer put first where somebody asked for the order (`DNS_ROUND_ROBIN`), else the first
    /// of `addresses`. Nil when there are none.
    package let first: IPAddress?
    package let state: State

    package enum State: Sendable, Hashable {
        /// As the resolver last said, within its time to live.
        case fresh
        /// The last known good addresses, kept since no resolver could say anything newer. `since` is when they should
        /// have been refreshed; `why` is what came instead, in words.
        case stale(since: MonotonicTime, why: String)
        /// No addresses: the name does not exist, has none, or was never answered.
        case unresolved(why: String)
    }

    /// - Parameter first: one of `addresses`; anything else counts as nil.
    package init(_ addresses: some Sequence<IPAddress>, first: IPAddress? = nil, state: State) {
        let sorted = Set(addresses).sorted()
        self.addresses = sorted
        self.first = first.flatMap { sorted.contains($0) ? $0 : nil } ?? sorted.first
        self.state = state
    }

    /// The addresses of one family: IPv4 where there are any, else IPv6. What is dialled by default, since a workload
    /// without a route for the other family would fail at every second connection.
    package var ofOneFamily: ArraySlice<IPAddress> {
        let v4 = addresses.prefix { $0.family == .v4 }
        return v4.isEmpty ? addresses[...] : v4
    }

    /// Whether calls would go to the same places: what a new snapshot is worth.
    package func leads(whereDoes other: ResolvedAddresses?) -> Bool {
        addresses == other?.addresses && first == other?.first
    }
}
