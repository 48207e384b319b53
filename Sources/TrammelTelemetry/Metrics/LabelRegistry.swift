import Synchronization
package import TrammelCore

/// Gives each set of labels a small number, so that a request is counted without touching a string.
///
/// One serves all loops. Numbers are handed out off the request path (at attach, when an endpoint is first dialled) under
/// a lock, and never to another set. Past the limit every new set gets `other`, which bounds both the memory and the
/// series of a scrape. A set of which nothing has been there for a while is retired: its series go, and were it to come
/// back, it would come under a new number and count from zero.
package final class LabelRegistry: Sendable {
    package struct Limits: Sendable {
        package var peers = 8192
        package var services = 16384
        package init() {}
    }

    private struct Known<Labels: Sendable> {
        let labels: Labels
        /// When it was first seen that nothing of it is there; nil while it is.
        var absentSince: MonotonicTime?
    }

    private struct Table<Labels: Hashable & Sendable> {
        private var known: [UInt32: Known<Labels>]
        private var numbers: [Labels: UInt32]
        private(set) var next: UInt32 = 2
        private(set) var refused: UInt64 = 0

        init(unknown: Labels, other: Labels) {
            known = [0: Known(labels: unknown), 1: Known(labels: other)]
            numbers = [unknown: 0, other: 1]
        }

        mutating func number(of labels: Labels, limit: Int) -> UInt32 {
            if let number = numbers[labels] {
                known[number]?.absentSince = nil
                return number
            }
            guard known.count < limit else {
                refused += 1
                return 1
            }
            let number = next
            next += 1
            known[number] = Known(labels: labels)
            numbers[labels] = number
            return number
        }

        /// - Returns: also how many are missing and not retired yet.
        mutating func retire(
            absentFor grace: UInt64, at now: MonotonicTime, isThere: (Labels) -> Bool
        ) -> (retired: Set<UInt32>, missing: Int) {
            var retired: Set<UInt32> = []
            var missing = 0
            for (number, entry) in known where number > 1 {
                if isThere(entry.labels) {
                    if entry.absentSince != nil { known[number]?.absentSince = nil }
                } else if let since = entry.absentSince, now.nanoseconds(since: since) >= grace {
                    retired.insert(number)
                } else {
                    missing += 1
                    if entry.absentSince == nil { known[number]?.absentSince = now }
                }
            }
            for number in retired {
                if let entry = known.removeValue(forKey: number) { numbers[entry.labels] = nil }
            }
            return (retired, missing)
        }

        var all: [UInt32: Labels] { known.mapValues(\.labels) }
        func labels(_ number: UInt32) -> Labels? { known[number]?.labels }
    }

    private struct State {
        var peers = Table<PeerLabels>(unknown: .unknown, other: .other)
        var services = Table<ServiceLabels>(unknown: .unknown, other: .other)
    }

    private let state = Mutex(State())
    private let limits: Limits

    package init(limits: Limits = Limits()) {
        self.limits = limits
    }

    package func id(ofPeer labels: PeerLabels) -> PeerID {
        PeerID(rawValue: state.withLock { $0.peers.number(of: labels, limit: limits.peers) })
    }

    package func id(ofService labels: ServiceLabels) -> ServiceID {
        ServiceID(rawValue: state.withLock { $0.services.number(of: labels, limit: limits.services) })
    }

    /// How many times a new set of labels was put under `other`.
    package var refused: UInt64 {
        state.withLock { $0.peers.refused + $0.services.refused }
    }

    /// Retires the sets of which nothing has been there for `grace` nanoseconds. To be called over and over: a set that is
    /// missing counts from the first call that finds it so.
    ///
    /// From the moment this returns no scrape shows them, on whichever loop they were counted; the loops are then to let go
    /// of their counters and numbers.
    package func retire(
        absentFor grace: UInt64, at now: MonotonicTime, peerIsThere: (PeerLabels) -> Bool,
        serviceIsThere: (ServiceLabels) -> Bool
    ) -> RetiredLabels {
        state.withLock { state in
            let peers = state.peers.retire(absentFor: grace, at: now, isThere: peerIsThere)
            let services = state.services.retire(absentFor: grace, at: now, isThere: serviceIsThere)
            return RetiredLabels(
                peers: peers.retired, services: services.retired, missing: peers.missing + services.missing)
        }
    }

    /// The peers from number `first` on; nil for those that were retired.
    func peers(from first: Int) -> [PeerLabels?] {
        state.withLock { state in
            let first = UInt32(clamping: first)
            return first < state.peers.next ? (first..<state.peers.next).map { state.peers.labels($0) } : []
        }
    }

    /// All at one moment.
    func all() -> (peers: [UInt32: PeerLabels], services: [UInt32: ServiceLabels]) {
        state.withLock { ($0.peers.all, $0.services.all) }
    }

    func labels(_ peer: PeerID) -> PeerLabels? { state.withLock { $0.peers.labels(peer.rawValue) } }
    func labels(_ service: ServiceID) -> ServiceLabels? { state.withLock { $0.services.labels(service.rawValue) } }
}

/// Numbers that stand for nothing any more.
package struct RetiredLabels: Sendable {
    let peers: Set<UInt32>
    let services: Set<UInt32>
    /// How many more were missing, and are to be looked at again.
    package let missing: Int

    package var isEmpty: Bool { peers.isEmpty && services.isEmpty }

    package func contains(_ peer: PeerID) -> Bool { peers.contains(peer.rawValue) }
    package func contains(_ service: ServiceID) -> Bool { services.contains(service.rawValue) }

    func concerns(_ edge: EdgeKey) -> Bool {
        contains(edge.source) || contains(edge.destination) || contains(edge.service)
    }
}
