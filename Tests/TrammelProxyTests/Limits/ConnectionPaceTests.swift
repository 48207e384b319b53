import Testing
import TrammelCore

@testable import TrammelProxy

@Suite("How fast connections are taken up")
struct ConnectionPaceTests {
    private func at(_ milliseconds: UInt64) -> MonotonicTime {
        MonotonicTime(nanoseconds: 1_000_000_000 + milliseconds * 1_000_000)
    }

    @Test("a burst goes through, and the one that empties the bucket says for how long to rest")
    func burst() {
        let pace = ConnectionPace()
        for _ in 0..<99 { #expect(pace.take(at: at(0), rate: 1000, burst: 100) == 0) }
        #expect(pace.take(at: at(0), rate: 1000, burst: 100) == 10_000_000)
    }

    @Test("what the kernel hands over all the same is owed, and paid before the next")
    func debt() {
        let pace = ConnectionPace()
        for _ in 0..<150 { _ = pace.take(at: at(0), rate: 1000, burst: 100) }
        // 51 more than the bucket holds, at 1 ms each.
        #expect(pace.take(at: at(0), rate: 1000, burst: 100) == 52_000_000)
        #expect(pace.take(at: at(60), rate: 1000, burst: 100) == 0)
    }

    @Test("over the long run it is the rate, whatever comes", arguments: [(100, 1), (1000, 10), (20_000, 20_000)])
    func rate(rate: Int, burst: Int) {
        let pace = ConnectionPace()
        var now: UInt64 = 1_000_000_000
        var taken = 0
        while now < 11_000_000_000 {
            taken += 1
            now += max(1000, pace.take(at: MonotonicTime(nanoseconds: now), rate: rate, burst: burst))
        }
        #expect(taken <= rate * 10 + burst + 1)
        #expect(taken >= rate * 9)
    }

    @Test("who has been quiet has the whole burst again, and no more")
    func refill() {
        let pace = ConnectionPace()
        for _ in 0..<10 { _ = pace.take(at: at(0), rate: 100, burst: 10) }
        for _ in 0..<9 { #expect(pace.take(at: at(60_000), rate: 100, burst: 10) == 0) }
        #expect(pace.take(at: at(60_000), rate: 100, burst: 10) > 0)
    }
}
