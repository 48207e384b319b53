/// One loop's part in what a workload takes: numbers that requests change without an atomic.
///
/// A loop borrows room for requests in lots and gives back what it does not need, so that a limit is never exceeded and
/// up to a thirtieth of it may lie unused with other loops; below 128 requests for each loop every one is asked for.
final class WorkloadShare {
    let use: WorkloadUse
    private let limits: WorkloadLimits
    private let lot: Int
    /// Bytes by which this loop's sum may differ from what the others know.
    private let grain: Int
    /// Requests that may begin without asking.
    private var room = 0
    private(set) var requests = 0
    private(set) var waitingBytes = 0
    private var toldBytes = 0

    /// - Parameter loops: how many there are.
    init(_ use: WorkloadUse, _ limits: WorkloadLimits, loops: Int) {
        self.use = use
        self.limits = limits
        lot = max(1, min(32, limits.requests / (loops * 64)))
        grain = max(1, min(65_536, limits.memory / (loops * 16)))
    }

    // MARK: Requests

    /// Counts a request in, unless a limit stands against it. Each that was let in is counted out by `endRequest`.
    func beginRequest() -> WorkloadLimit? {
        guard use.isWithinMemory(limits.memory) else { return .memory }
        if room == 0 {
            room = use.lend(lot, upTo: limits.requests)
            guard room > 0 else { return .requests }
        }
        room -= 1
        requests += 1
        return nil
    }

    func endRequest() {
        requests -= 1
        room += 1
        let kept = lot == 1 ? 0 : lot
        guard room > kept + lot - 1 else { return }
        use.takeBack(room - kept)
        room = kept
    }

    // MARK: Sockets onward

    var mayDial: Bool { use.mayDial(upTo: limits.descriptors) }

    // MARK: Memory

    /// - Parameter change: bytes that wait now and did not, or the other way round.
    func waits(_ change: Int) {
        waitingBytes += change
        let untold = waitingBytes - toldBytes
        guard untold >= grain || untold <= -grain || (waitingBytes == 0 && untold != 0) else { return }
        toldBytes = waitingBytes
        use.waits(untold, upTo: limits.memory)
    }

    /// Nothing of it is used any more by this loop.
    func letGo() {
        use.takeBack(room)
        room = 0
    }
}
