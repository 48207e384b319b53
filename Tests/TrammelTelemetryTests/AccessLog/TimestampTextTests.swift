import Foundation
import Synchronization
import Testing
import TrammelCore

@testable import TrammelTelemetry

@Suite struct TimestampTextTests {
    private func text(_ times: inout TimestampText, _ time: UInt64, now: UInt64) -> String {
        var text = ""
        text = String(
            decoding: written {
                times.write(MonotonicTime(nanoseconds: time), now: MonotonicTime(nanoseconds: now), to: &$0)
            }, as: UTF8.self)
        return text
    }

    @Test func turnsMonotonicIntoWallTime() {
        // 2026-01-31T23:59:59.999 at monotonic 5 s.
        var times = TimestampText {
            (MonotonicTime(nanoseconds: 5_000_000_000), WallTime(nanoseconds: 1_769_903_999_999_000_000))
        }
        #expect(text(&times, 5_000_000_000, now: 5_000_000_000) == #""2026-01-31T23:59:59.999Z""#)
        #expect(text(&times, 5_001_000_000, now: 5_001_000_000) == #""2026-02-01T00:00:00.000Z""#)
        #expect(text(&times, 3_000_000_000, now: 5_001_000_000) == #""2026-01-31T23:59:57.999Z""#)
        #expect(text(&times, 5_000_000_000, now: 5_000_000_000).utf8.count == TimestampText.length)
    }

    @Test func readsTheClocksAgainAfterASecondAndNotBefore() {
        let reads = Mutex(0)
        // The wall clock steps forward by an hour at each reading.
        var times = TimestampText {
            reads.withLock {
                $0 += 1
                return (
                    MonotonicTime(nanoseconds: UInt64($0) * 1_000_000_000),
                    WallTime(nanoseconds: Int64($0) * 3600 * 1_000_000_000)
                )
            }
        }
        #expect(text(&times, 1_000_000_000, now: 1_999_999_999) == #""1970-01-01T01:00:00.000Z""#)
        #expect(reads.withLock { $0 } == 1)
        #expect(text(&times, 2_000_000_000, now: 2_000_000_000) == #""1970-01-01T02:00:00.000Z""#)
        #expect(reads.withLock { $0 } == 2)
    }

    @Test func datesAgreeWithTheCLibrary() {
        var random = SeededGenerator(seed: 3)
        var days: [Int64] = [0, 58, 59, 60, 11_016, 11_017, 11_322, 47_540, 47_541]
        days += (0..<2000).map { _ in Int64.random(in: 0...200_000, using: &random) }
        for day in days {
            var seconds = time_t(day * 86_400)
            var broken = tm()
            gmtime_r(&seconds, &broken)
            let date = TimestampText.civil(daysSince1970: day)
            #expect(
                [Int32(date.year), Int32(date.month), Int32(date.day)]
                    == [broken.tm_year + 1900, broken.tm_mon + 1, broken.tm_mday])
        }
    }
}
