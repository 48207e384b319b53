import Testing

@testable import TrammelCapture

@Suite struct RepairPaceTests {
    @Test func atOnceThenEverLater() {
        var pace = RepairPace()
        var now: Int64 = 1000
        var waits: [Int64] = []
        for _ in 0..<12 {
            pace.repaired(at: now)
            waits.append(pace.wait)
            now = max(now, pace.notBefore) + 10
        }
        #expect(waits == [0, 0, 0, 0, 0, 250, 500, 1000, 2000, 4000, 8000, 8000])
        #expect(pace.isContested(at: now))
        #expect(pace.count == 12)
    }

    @Test func calmIsANewBeginning() {
        var pace = RepairPace()
        for now in 0..<20 { pace.repaired(at: Int64(now) * 100) }
        let later: Int64 = 1900 + 30_001
        #expect(!pace.isContested(at: later))
        pace.repaired(at: later)
        #expect(pace.count == 1 && pace.wait == 0)
    }

    @Test func moreThanCanBeDoubled() {
        var pace = RepairPace(.init(free: 0, first: 1, longest: .max, calm: .max))
        for _ in 0..<200 { pace.repaired(at: 0) }
        #expect(pace.wait == 1 << 20)
    }
}
