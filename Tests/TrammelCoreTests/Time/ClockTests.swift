import Glibc
import Testing
import TrammelCore

@Suite("Clocks")
struct ClockTests {
    @Test("the monotonic clock is the kernel's and never goes back")
    func monotonic() {
        var last = ClockTests.read(CLOCK_MONOTONIC)
        for _ in 0..<10_000 {
            let now = MonotonicTime.now().nanoseconds
            #expect(now >= last)
            last = now
        }
        #expect(last <= ClockTests.read(CLOCK_MONOTONIC))
    }

    @Test("the wall clock is the kernel's, since 1970")
    func wall() {
        let before = ClockTests.read(CLOCK_REALTIME)
        let now = WallTime.now().nanoseconds
        // A second for whoever sets the clock meanwhile.
        #expect((Int64(before) - 1_000_000_000...Int64(before) + 60_000_000_000).contains(now))
        #expect(now > 1_700_000_000_000_000_000)
    }

    @Test("time since a later moment is none, not eighteen billion seconds")
    func since() {
        let (early, late) = (MonotonicTime(nanoseconds: 5), MonotonicTime(nanoseconds: .max))
        #expect(late.nanoseconds(since: early) == UInt64.max - 5)
        #expect(early.nanoseconds(since: late) == 0)
        #expect(early.nanoseconds(since: early) == 0)
        #expect(early < late && !(late < early) && !(early < early))
    }

    private static func read(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
