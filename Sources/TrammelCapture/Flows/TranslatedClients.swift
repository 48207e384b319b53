import Synchronization
package import TrammelCore

/// Clients whose source port a redirect had to change, since the same one was taken: by what the agent sees of them.
///
/// Rare, and so kept apart: while there is none, as on almost every node, a question costs one read of a number.
package final class TranslatedClients: ClientTranslation {
    private struct Key: Hashable {
        let workload: WorkloadID
        let seen: IPEndpoint
    }

    private static let capacity = 16_384

    private let count = Atomic<Int>(0)
    private let clients = Mutex(RecentFlows<Key, IPEndpoint>(capacity: capacity))

    init() {}

    func add(_ client: IPEndpoint, seenAs seen: IPEndpoint, in workload: WorkloadID) {
        let now = clients.withLock { clients in
            clients[Key(workload: workload, seen: seen)] = client
            return clients.count
        }
        count.store(now, ordering: .relaxed)
    }

    /// The port is the client's own again.
    func remove(seenAs seen: IPEndpoint, in workload: WorkloadID) {
        guard count.load(ordering: .relaxed) > 0 else { return }
        let now = clients.withLock { clients in
            clients[Key(workload: workload, seen: seen)] = nil
            return clients.count
        }
        count.store(now, ordering: .relaxed)
    }

    /// Whom the agent sees as `seen`; nil for one that it sees as it is. From any thread.
    package func client(seenAs seen: IPEndpoint, in workload: WorkloadID) -> IPEndpoint? {
        guard count.load(ordering: .relaxed) > 0 else { return nil }
        return clients.withLock { $0[Key(workload: workload, seen: seen)] }
    }
}
