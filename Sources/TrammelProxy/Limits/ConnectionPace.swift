import Synchronization
import TrammelCore

/// A token bucket in one word: connections of one workload are taken up at a rate, with a burst before it is felt. Any
/// loop may ask, once for each connection.
///
/// What is kept is the time at which the bucket would be full again. A connection that the kernel has handed over is
/// there, so it is always counted, and whoever asks is told for how long to take no more.
final class ConnectionPace: Sendable {
    private let fullAt = Atomic<UInt64>(0)

    /// Nanoseconds of rest that are worth a timer.
    private static let leastRest: UInt64 = 10_000_000

    /// Counts one connection.
    /// - Parameters:
    ///   - rate: connections in a second, at least 1.
    ///   - burst: connections at once, at least 1.
    /// - Returns: nanoseconds until the next may be taken up; 0 for at once.
    func take(at now: MonotonicTime, rate: Int, burst: Int) -> UInt64 {
        let price = max(1, 1_000_000_000 / UInt64(max(1, rate)))
        let room = price &* UInt64(max(1, burst))
        var before = fullAt.load(ordering: .relaxed)
        while true {
            let after = max(before, now.nanoseconds) &+ price
            let (isTaken, current) = fullAt.weakCompareExchange(
                expected: before, desired: after, ordering: .relaxed)
            before = current
            guard isTaken else { continue }
            let debt = after &- now.nanoseconds
            // The next one's price has to be there, too.
            guard debt &+ price > room else { return 0 }
            // A rest in which more than one becomes free, unless the bucket holds less than comes meanwhile.
            return max(debt &+ price &- room, min(Self.leastRest, room / 2))
        }
    }
}
