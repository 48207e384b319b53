import Synchronization

/// How much waits in a bounded queue, for whoever measures: kept by those who put in and take out.
package final class QueueDepth: Sendable {
    /// The most that may wait.
    package let limit: Int
    private let count = Atomic<Int>(0)

    package init(limit: Int) { self.limit = limit }

    package var current: Int { count.load(ordering: .relaxed) }

    package func entered() { count.add(1, ordering: .relaxed) }
    package func left() { count.subtract(1, ordering: .relaxed) }

    /// For a queue that knows its length.
    package func set(_ length: Int) { count.store(length, ordering: .relaxed) }

    /// Counts what a stream has taken; what takes the place of another adds nothing.
    package func note<E>(_ result: AsyncStream<E>.Continuation.YieldResult) {
        if case .enqueued = result { entered() }
    }

    /// Counts one in unless there are as many as may be. Each that was let in is to be counted out by `left`.
    package func admits() -> Bool {
        guard count.add(1, ordering: .relaxed).newValue <= limit else {
            left()
            return false
        }
        return true
    }
}
