import Synchronization
import TrammelCore

/// Chooses the ports of the agent's sockets that bear a client's address.
///
/// Only its port tells such a socket's connection from the client's own: seen from the application's network namespace,
/// both run between the client's address and the application's. Were the ports the same too, a packet of either would
/// find the other's socket, and each would reset the other. The kernel, which looks for a socket with the very same ends,
/// sees no conflict, since the agent's end of a client's connection is the application's end of the other.
///
/// So a port is taken from where clients have none: above the registered ports that servers are mostly found on, below
/// and above what Linux gives to clients (32768 to 60999), and outside 30000 to 32767, which Kubernetes' nodes answer on.
/// One after the other and from a place that nobody can foretell, for each client and destination apart (as in RFC 6056
/// section 3.3.4): that leaves a closed connection's port as long in peace as can be.
package final class SourcePorts: Sendable {
    /// Sockets to try before the kernel is to choose.
    static let attempts = 8
    private static let blocks: [ClosedRange<UInt16>] = [10_000...29_999, 61_000...65_535]
    private static let counters = 256

    private let runs: [ClosedRange<UInt16>]
    /// How many ports there are for connections of one client to one place.
    let count: Int
    private let turns = Mutex([UInt32](repeating: 0, count: SourcePorts.counters))

    /// - Parameter taken: ports that the agent's rules give a meaning to.
    init(besides taken: [UInt16]) {
        var runs = SourcePorts.blocks
        for port in taken {
            runs = runs.flatMap { run -> [ClosedRange<UInt16>] in
                guard run.contains(port) else { return [run] }
                var parts: [ClosedRange<UInt16>] = []
                if run.lowerBound < port { parts.append(run.lowerBound...(port - 1)) }
                if port < run.upperBound { parts.append((port + 1)...run.upperBound) }
                return parts
            }
        }
        self.runs = runs
        count = runs.reduce(0) { $0 + $1.count }
    }

    /// - Parameter attempt: a further one goes on far from the ones before, since neighbours are in use together.
    func next(from source: IPAddress, to remote: IPEndpoint, attempt: Int) -> UInt16 {
        // Seeded anew in each process.
        var hasher = Hasher()
        hasher.combine(source)
        hasher.combine(remote)
        let hash = UInt(bitPattern: hasher.finalize())
        let turn = turns.withLock {
            let slot = Int(hash % UInt(SourcePorts.counters))
            $0[slot] &+= 1
            return $0[slot]
        }
        return port(at: Int((hash >> 32 + UInt(turn) + UInt(attempt * count) * 5 / 13) % UInt(count)))
    }

    /// - Parameter index: below `count`.
    func port(at index: Int) -> UInt16 {
        var index = index
        for run in runs {
            if index < run.count { return run.lowerBound + UInt16(index) }
            index -= run.count
        }
        return runs[0].lowerBound
    }
}
