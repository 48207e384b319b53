import NIOCore
import NIOEmbedded
import Testing
import TrammelCore
import TrammelTestSupport

@testable import TrammelProxy

@Suite("The wheel of deadlines", .timeLimit(.minutes(2)))
struct LoopTimersTests {
    private static let millisecond: UInt64 = 1_000_000

    /// A loop and a clock that the test moves, and what the wheel told of it.
    private final class Bench {
        let loop = EmbeddedEventLoop()
        /// What the clock says while a loop that is behind its work catches up.
        var stalledAt: UInt64?
        private(set) var timers: LoopTimers!
        /// How often the wheel has looked at the clock, which it does once a turn.
        private(set) var looks = 0

        init(at start: UInt64 = 1_000_000_000) {
            loop.advanceTime(to: .uptimeNanoseconds(start))
            timers = LoopTimers(loop: loop) { [unowned self] in
                looks += 1
                return now
            }
        }

        /// The loop turns its own time back to that of what it runs, if that was due before.
        private var latest: UInt64 = 0

        var now: MonotonicTime {
            latest = max(latest, stalledAt ?? loop.now.uptimeNanoseconds)
            return MonotonicTime(nanoseconds: latest)
        }

        /// - Parameter stalls: no turn is taken on the way; the loop comes to all that is due at the end.
        func advance(by nanoseconds: UInt64, stalls: Bool = false) {
            let end = loop.now.uptimeNanoseconds + nanoseconds
            stalledAt = stalls ? end : nil
            loop.advanceTime(to: .uptimeNanoseconds(end))
            stalledAt = nil
        }

        func owner(_ then: @escaping (Owner, MonotonicTime) -> Void = { _, _ in }) -> Owner { Owner(timers, then) }
    }

    private final class Owner: DeadlineOwner {
        let timers: LoopTimers
        private(set) lazy var node = DeadlineNode(owner: self)
        /// As the model has it.
        private(set) var deadline: UInt64?
        /// From when on it may be told of: its deadline, or when that was set, if it was over by then.
        private(set) var due: UInt64 = 0
        var passed: [MonotonicTime] = []
        let then: (Owner, MonotonicTime) -> Void

        init(_ timers: LoopTimers, _ then: @escaping (Owner, MonotonicTime) -> Void) {
            self.timers = timers
            self.then = then
        }

        func set(_ deadline: UInt64, now: MonotonicTime) {
            self.deadline = deadline
            due = max(deadline, now.nanoseconds)
            timers.set(node, MonotonicTime(nanoseconds: deadline), now: now)
        }

        func cancel() {
            deadline = nil
            timers.cancel(node)
        }

        func suspend() {
            deadline = nil
            timers.suspend(node)
        }

        func deadlinePassed(_ now: MonotonicTime) {
            passed.append(now)
            if let deadline {
                #expect(deadline <= now.nanoseconds, "told too early")
            } else {
                Issue.record("told of a deadline that was not set, at \(now)")
            }
            deadline = nil
            then(self, now)
        }
    }

    // MARK: Against a plain model

    @Test(
        "in whatever order they are set, moved, suspended and cancelled: never early, at most 20 ms late, each once",
        arguments: 0..<60)
    func property(seed: UInt64) {
        var random = SplitMix(seed: seed)
        let bench = Bench(at: .random(in: 0...20_000_000_000, using: &random))
        var owners: [Owner] = []

        func span() -> UInt64 {
            switch UInt64.random(in: 0..<10, using: &random) {
            case 0: 0
            case 1...4: .random(in: 0...40 * Self.millisecond, using: &random)
            case 5...7: .random(in: 0...6_000 * Self.millisecond, using: &random)
            case 8: Self.millisecond * 10 * .random(in: 500...520, using: &random)
            default: .random(in: 0...40_000 * Self.millisecond, using: &random)
            }
        }
        func act(_ now: MonotonicTime) {
            guard let owner = owners.randomElement(using: &random) else { return }
            switch UInt64.random(in: 0..<10, using: &random) {
            case 0...5: owner.set(now.nanoseconds + span(), now: now)
            // Due already, as a deadline that was worked out beforehand may be.
            case 6: owner.set(now.nanoseconds - min(now.nanoseconds, span()), now: now)
            case 7: owner.suspend()
            default: owner.cancel()
            }
        }
        func passed(_: Owner, _ now: MonotonicTime) {
            for _ in 0..<UInt64.random(in: 0...2, using: &random) { act(now) }
        }
        owners = (0..<UInt64.random(in: 1...12, using: &random)).map { _ in bench.owner(passed) }

        for _ in 0..<400 {
            for _ in 0..<UInt64.random(in: 0...4, using: &random) { act(bench.now) }
            if UInt64.random(in: 0..<40, using: &random) == 0 {
                // One that closes: it is never heard of again.
                owners.remove(at: 0).cancel()
                owners.append(bench.owner(passed))
            }
            bench.advance(by: span(), stalls: .random(using: &random))
            let now = bench.now.nanoseconds
            for owner in owners where owner.deadline != nil && owner.due + 20 * Self.millisecond < now {
                Issue.record("due \(now - owner.due) ns ago and not told of")
            }
        }

        for owner in owners { owner.cancel() }
        #expect(bench.timers.count == 0)
    }

    // MARK: Cases

    @Test("a turn that comes one slot late does not meet what it puts in again")
    func oneSlotLate() {
        let bench = Bench()
        let owner = bench.owner()
        let start = bench.now
        owner.set(start.nanoseconds + 3_600_000 * Self.millisecond, now: start)
        // The far slot comes by after 5.11 s; nothing else is in the wheel.
        for _ in 0..<2_000 { bench.advance(by: 5_121 * Self.millisecond, stalls: true) }
        #expect(owner.passed.count == 1)
        #expect(bench.timers.count == 0)
    }

    @Test("after a stall longer than the wheel, what is put in during the turn is met in time")
    func longStall() {
        let bench = Bench()
        var told = 0
        let second = bench.owner { _, _ in told += 1 }
        let first = bench.owner { _, now in second.set(now.nanoseconds + 50 * Self.millisecond, now: now) }
        let far = bench.owner()
        first.set(bench.now.nanoseconds + 10 * Self.millisecond, now: bench.now)
        far.set(bench.now.nanoseconds + 20_100 * Self.millisecond, now: bench.now)
        bench.advance(by: 20_000 * Self.millisecond, stalls: true)
        #expect(first.passed.count == 1)
        bench.advance(by: 71 * Self.millisecond)
        #expect(told == 1)
        bench.advance(by: 51 * Self.millisecond)
        #expect(far.passed.count == 1)
    }

    @Test("an owner that cancels is gone from the wheel, and may end")
    func goneOwners() {
        let bench = Bench()
        weak var gone: Owner?
        let stays = bench.owner()
        do {
            let owners = (0..<10).map { _ in bench.owner() }
            for owner in owners { owner.set(bench.now.nanoseconds + 100 * Self.millisecond, now: bench.now) }
            gone = owners[4]
            // The others of the slot hold each other in a list.
            for owner in owners { owner.cancel() }
        }
        stays.set(bench.now.nanoseconds + 100 * Self.millisecond, now: bench.now)
        #expect(gone == nil)
        bench.advance(by: 10_000 * Self.millisecond)
        #expect(stays.passed.count == 1)
    }

    @Test("owners that are due in the same turn may cancel each other")
    func mutualCancel() {
        let bench = Bench()
        var owners: [Owner] = []
        owners = (0..<5).map { _ in bench.owner { one, _ in for owner in owners where owner !== one { owner.cancel() } }
        }
        for owner in owners { owner.set(bench.now.nanoseconds + 5 * Self.millisecond, now: bench.now) }
        bench.advance(by: 100 * Self.millisecond)
        #expect(owners.map(\.passed.count).reduce(0, +) == 1)
        #expect(bench.timers.count == 0)
        owners = []
    }

    @Test("a suspended deadline is not told of, and one set after it is")
    func suspension() {
        let bench = Bench()
        let owner = bench.owner()
        owner.set(bench.now.nanoseconds + 100 * Self.millisecond, now: bench.now)
        owner.suspend()
        bench.advance(by: 50 * Self.millisecond)
        owner.set(bench.now.nanoseconds + 200 * Self.millisecond, now: bench.now)
        bench.advance(by: 199 * Self.millisecond)
        #expect(owner.passed.isEmpty)
        bench.advance(by: 21 * Self.millisecond)
        #expect(owner.passed.count == 1)
    }

    @Test("no timer runs while no deadline is set")
    func rest() {
        let bench = Bench()
        let owner = bench.owner()
        owner.set(bench.now.nanoseconds + 10 * Self.millisecond, now: bench.now)
        bench.advance(by: 30 * Self.millisecond)
        #expect(owner.passed.count == 1)
        let looks = bench.looks
        bench.advance(by: 10_000 * Self.millisecond)
        #expect(bench.looks == looks)
    }
}
