/// How soon what was changed by others is put back: at once, unless it is changed again and again. Then ever later, so
/// that two tools that disagree do not keep the node busy.
struct RepairPace: Sendable {
    /// In milliseconds.
    struct Rhythm: Sendable {
        /// So many repairs follow each other at once.
        var free = 5
        var first: Int64 = 250
        var longest: Int64 = 8000
        /// After so long without a repair, all is forgotten.
        var calm: Int64 = 30_000
    }

    private let rhythm: Rhythm
    private var last: Int64?
    /// Repairs that followed each other.
    private(set) var count = 0

    init(_ rhythm: Rhythm = Rhythm()) { self.rhythm = rhythm }

    mutating func repaired(at now: Int64) {
        if isCalm(at: now) { count = 0 }
        count += 1
        last = now
    }

    /// The wait after the last repair.
    var wait: Int64 {
        guard count > rhythm.free else { return 0 }
        let doublings = min(count - rhythm.free - 1, 20)
        return min(rhythm.longest, rhythm.first << Int64(doublings))
    }

    /// When the next may be made.
    var notBefore: Int64 { (last ?? 0) + wait }

    /// Whether somebody undoes what is repaired.
    func isContested(at now: Int64) -> Bool { count > rhythm.free && !isCalm(at: now) }

    private func isCalm(at now: Int64) -> Bool { last.map { now - $0 > rhythm.calm } ?? true }
}
