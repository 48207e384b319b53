import Synchronization
package import TrammelCore

/// What one workload takes of the agent, over all loops. Touched when a connection opens or closes, when a loop has used
/// up what it was lent, and when something is refused; never by a request that finds its loop's share sufficient.
package final class WorkloadUse: Sendable {
    private let connections = Atomic<Int>(0)
    private let descriptors = Atomic<Int>(0)
    /// Lent to loops, which may not have begun as many requests.
    private let requests = Atomic<Int>(0)
    private let waitingBytes = Atomic<Int>(0)
    private let isOverMemory = Atomic<Bool>(false)
    private let isPressed = Atomic<Bool>(false)
    /// The most that is read from one of its connections at a time; see `ReceiveBuffers`.
    private let ceiling = Atomic<Int>(ReceiveBuffers.largest)
    private let refused = RefusalCounts()
    let pace = ConnectionPace()

    init() {}

    // MARK: Connections

    /// Counts a connection and its socket in, on whatever loop, unless a limit stands against it. Each that was let in is
    /// counted out by `left`, once.
    func admit(_ limits: WorkloadLimits) -> WorkloadLimit? {
        if waitingBytes.load(ordering: .relaxed) >= limits.memory { return .memory }
        guard connections.add(1, ordering: .relaxed).newValue <= limits.connections else {
            connections.subtract(1, ordering: .relaxed)
            return .connections
        }
        guard takesDescriptor(upTo: limits.descriptors) else {
            connections.subtract(1, ordering: .relaxed)
            return .descriptors
        }
        return nil
    }

    /// Counts one in that another agent has let in.
    func take() {
        connections.add(1, ordering: .relaxed)
        descriptors.add(1, ordering: .relaxed)
    }

    func left() {
        connections.subtract(1, ordering: .relaxed)
        descriptors.subtract(1, ordering: .relaxed)
    }

    // MARK: Sockets onward

    /// Whether a connection onward may be dialled; `dialled` counts it.
    func mayDial(upTo most: Int) -> Bool { descriptors.load(ordering: .relaxed) < most }

    func dialled() { descriptors.add(1, ordering: .relaxed) }

    func closedOnward() { descriptors.subtract(1, ordering: .relaxed) }

    /// Counts in a socket that is no connection's, unless the limit stands against it; `closedOnward` counts it out.
    func takesDescriptor(upTo most: Int) -> Bool {
        guard descriptors.add(1, ordering: .relaxed).newValue <= most else {
            descriptors.subtract(1, ordering: .relaxed)
            return false
        }
        return true
    }

    // MARK: Requests

    /// Lends a loop room for up to `count` requests.
    /// - Returns: how many; 0 when all there is, is lent.
    func lend(_ count: Int, upTo most: Int) -> Int {
        let beyond = requests.add(count, ordering: .relaxed).newValue - most
        guard beyond > 0 else { return count }
        let back = min(beyond, count)
        requests.subtract(back, ordering: .relaxed)
        return count - back
    }

    func takeBack(_ count: Int) { requests.subtract(count, ordering: .relaxed) }

    // MARK: Memory

    /// A loop has so many bytes more, or fewer, that wait.
    func waits(_ change: Int, upTo most: Int) {
        let now = waitingBytes.add(change, ordering: .relaxed).newValue
        // It is over until a quarter of it is free again.
        let isOver = isOverMemory.load(ordering: .relaxed) ? now > most / 4 * 3 : now >= most
        guard isOver != isOverMemory.exchange(isOver, ordering: .relaxed) else { return }
        setCeiling()
    }

    func isWithinMemory(_ most: Int) -> Bool { waitingBytes.load(ordering: .relaxed) < most }

    /// The agent is short of memory, or no longer is.
    func setPressed(_ isPressed: Bool) {
        guard self.isPressed.exchange(isPressed, ordering: .relaxed) != isPressed else { return }
        setCeiling()
    }

    private func setCeiling() {
        let isLow = isOverMemory.load(ordering: .relaxed) || isPressed.load(ordering: .relaxed)
        ceiling.store(isLow ? ReceiveBuffers.kept : ReceiveBuffers.largest, ordering: .relaxed)
    }

    var mostRead: Int { ceiling.load(ordering: .relaxed) }

    // MARK: What was refused

    func note(_ limit: WorkloadLimit) { refused.note(limit) }

    package var facts: WorkloadUseFacts {
        WorkloadUseFacts(
            connections: connections.load(ordering: .relaxed), descriptors: descriptors.load(ordering: .relaxed),
            requests: requests.load(ordering: .relaxed), waitingBytes: max(0, waitingBytes.load(ordering: .relaxed)),
            refused: refused.facts)
    }
}

/// How often each limit was felt, and when last.
private final class RefusalCounts: Sendable {
    private struct Entry {
        var count: UInt64 = 0
        var last = MonotonicTime(nanoseconds: 0)
    }

    private let entries = Mutex<[WorkloadLimit: Entry]>([:])

    func note(_ limit: WorkloadLimit) {
        let now = MonotonicTime.now()
        entries.withLock { entries in
            entries[limit, default: Entry()].count += 1
            entries[limit, default: Entry()].last = now
        }
    }

    var facts: [WorkloadUseFacts.Refused] {
        entries.withLock { $0 }.map { .init(limit: $0, count: $1.count, last: $1.last) }
            .sorted { $0.limit.rawValue < $1.limit.rawValue }
    }
}

/// What a workload took of the agent at one moment.
package struct WorkloadUseFacts: Sendable {
    package let connections: Int
    package let descriptors: Int
    package var requests: Int
    package var waitingBytes: Int
    /// By limit, in a stable order; those that were never felt are left out.
    package let refused: [Refused]

    package struct Refused: Sendable {
        package let limit: WorkloadLimit
        package let count: UInt64
        package let last: MonotonicTime
    }
}
