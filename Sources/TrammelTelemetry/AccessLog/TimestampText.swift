import TrammelCore

/// Writes points on the monotonic clock as UTC wall time, `2026-01-31T23:59:59.123Z`.
///
/// Records carry monotonic times only. Once a second the two clocks are read together; in between, one addition turns
/// the one into the other, so a step of the wall clock shows within a second. The date is worked out once a second too.
struct TimestampText: ~Copyable, Sendable {
    /// What `write` appends: the text with both quotes.
    static let length = 26

    private let clocks: @Sendable () -> (MonotonicTime, WallTime)
    private var anchor: (monotonic: MonotonicTime, wall: WallTime)
    private var second = Int64.min
    /// `2026-01-31T23:59:59.`, and four bytes never shown.
    private var prefix = [24 of UInt8](repeating: 0)

    init(clocks: @escaping @Sendable () -> (MonotonicTime, WallTime)) {
        self.clocks = clocks
        let (monotonic, wall) = clocks()
        anchor = (monotonic, wall)
    }

    /// Appends `time` in quotes.
    /// - Parameter now: a time close to the present, which tells when to read the clocks again.
    mutating func write(_ time: MonotonicTime, now: MonotonicTime, to out: inout TextWriter) {
        let (newSecond, nanosecond) = wall(of: time, now: now).quotientAndRemainder(dividingBy: 1_000_000_000)
        if newSecond != second {
            second = newSecond
            writePrefix()
        }
        out.byte(UInt8(ascii: "\""))
        prefix.span.withUnsafeBytes { out.bytes(UnsafeRawBufferPointer(rebasing: $0[..<20])) }
        out.decimal(UInt32(truncatingIfNeeded: nanosecond / 1_000_000), width: 3)
        out.text("Z\"")
    }

    /// Nanoseconds since 1970, not negative.
    @inline(__always)
    mutating func wall(of time: MonotonicTime, now: MonotonicTime) -> Int64 {
        if now.nanoseconds(since: anchor.monotonic) >= 1_000_000_000 {
            let (monotonic, wall) = clocks()
            anchor = (monotonic, wall)
        }
        let difference = Int64(bitPattern: time.nanoseconds &- anchor.monotonic.nanoseconds)
        return max(0, anchor.wall.nanoseconds &+ difference)
    }

    private mutating func writePrefix() {
        let (days, timeOfDay) = second.quotientAndRemainder(dividingBy: 86_400)
        let (year, month, day) = Self.civil(daysSince1970: days)
        let timeInDay = UInt32(truncatingIfNeeded: timeOfDay)
        var span = prefix.mutableSpan
        span.withUnsafeMutableBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            var out = TextWriter(base, end: base + bytes.count)
            out.decimal(year, width: 4)
            out.byte(UInt8(ascii: "-"))
            out.decimal(month, width: 2)
            out.byte(UInt8(ascii: "-"))
            out.decimal(day, width: 2)
            out.byte(UInt8(ascii: "T"))
            out.decimal(timeInDay / 3600, width: 2)
            out.byte(UInt8(ascii: ":"))
            out.decimal(timeInDay / 60 % 60, width: 2)
            out.byte(UInt8(ascii: ":"))
            out.decimal(timeInDay % 60, width: 2)
            out.byte(UInt8(ascii: "."))
        }
    }

    /// The Gregorian date of a day counted from 1970-01-01 (not negative). Counts in eras of 400 years from 1 March of
    /// year 0, so that the leap day is the last of its year.
    static func civil(daysSince1970 days: Int64) -> (year: UInt32, month: UInt32, day: UInt32) {
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
        let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (UInt32(truncatingIfNeeded: year), UInt32(month), UInt32(day))
    }
}
