import Synchronization

/// Gives each set of labels a small number, so that a request is counted without touching a string.
///
/// One serves all loops. Numbers are handed out off the request path (at attach, when an endpoint is first dialled) under
/// a lock; they are never taken back, since counters outlive the workload they were counted for. Past the limit every
/// new set gets `other`, which bounds both the memory and the series of a scrape.
package final class LabelRegistry: Sendable {
    package struct Limits: Sendable {
        package var peers = 8192
        package var services = 16384
        package init() {}
    }

    private struct Table<Labels: Hashable & Sendable> {
        private(set) var all: [Labels]
        private var numbers: [Labels: UInt32]
        private(set) var refused: UInt64 = 0

        init(unknown: Labels, other: Labels) {
            all = [unknown, other]
            numbers = [unknown: 0, other: 1]
        }

        mutating func number(of labels: Labels, limit: Int) -> UInt32 {
            if let known = numbers[labels] { return known }
            guard all.count < limit else {
                refused += 1
                return 1
            }
            let number = UInt32(all.count)
            all.append(labels)
            numbers[labels] = number
            return number
        }
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

    /// The peers from number `first` on.
    func peers(from first: Int) -> ArraySlice<PeerLabels> {
        state.withLock { $0.peers.all.dropFirst(first) }
    }

    func allPeers() -> [PeerLabels] { state.withLock { $0.peers.all } }
    func allServices() -> [ServiceLabels] { state.withLock { $0.services.all } }
}
