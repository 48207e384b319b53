/// How a point in time is written, in strftime's words, compiled once: UTC always.
///
/// The fractions are Envoy's: `%3f` are milliseconds, `%6f` microseconds, `%f` and `%9f` nanoseconds, `%E3S` seconds with
/// three digits behind the point.
struct LogTimeFormat: Sendable {
    private enum Part: UInt8, Sendable {
        case text, year, century, shortYear, month, day, paddedDay, hour, hour12, minute, second, dayOfYear
        case weekday, weekdayName, weekdayShort, monthName, monthShort, halfOfDay, epoch, fraction
    }

    private struct Step: Sendable {
        let part: Part
        /// Of `text`: where it lies; of `fraction`: how many digits.
        var start: Int32 = 0
        var count: Int32 = 0
    }

    private var steps: [Step] = []
    private var texts: [UInt8] = []

    /// As Envoy's `%START_TIME%` without an argument: `2026-01-31T23:59:59.123Z`.
    static let standard = "%Y-%m-%dT%H:%M:%E3SZ"
    /// The most bytes that a format may have itself.
    static let longest = 512

    /// An upper bound for what `write` appends.
    var longestText: Int { texts.count + steps.count * 20 }

    init(_ format: String) throws(LogFormatProblem) {
        let bytes = Array(format.utf8)
        guard bytes.count <= Self.longest else {
            throw LogFormatProblem("a format of time of \(bytes.count) bytes; expected \(Self.longest) at most")
        }
        try append(bytes[...])
    }

    private mutating func append(_ bytes: ArraySlice<UInt8>) throws(LogFormatProblem) {
        var rest = bytes
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                text(byte)
                continue
            }
            guard let letter = rest.popFirst() else {
                throw Self.unknown("%")
            }
            try append(letter, &rest)
        }
    }

    private mutating func append(_ letter: UInt8, _ rest: inout ArraySlice<UInt8>) throws(LogFormatProblem) {
        switch Character(UnicodeScalar(letter)) {
        case "%": text(letter)
        case "Y": steps.append(Step(part: .year))
        case "C": steps.append(Step(part: .century))
        case "y": steps.append(Step(part: .shortYear))
        case "m": steps.append(Step(part: .month))
        case "d": steps.append(Step(part: .day))
        case "e": steps.append(Step(part: .paddedDay))
        case "H": steps.append(Step(part: .hour))
        case "I": steps.append(Step(part: .hour12))
        case "M": steps.append(Step(part: .minute))
        case "S": steps.append(Step(part: .second))
        case "j": steps.append(Step(part: .dayOfYear))
        case "w": steps.append(Step(part: .weekday))
        case "A": steps.append(Step(part: .weekdayName))
        case "a": steps.append(Step(part: .weekdayShort))
        case "B": steps.append(Step(part: .monthName))
        case "b", "h": steps.append(Step(part: .monthShort))
        case "p": steps.append(Step(part: .halfOfDay))
        case "s": steps.append(Step(part: .epoch))
        case "z": try append(Array("+0000".utf8)[...])
        case "Z": try append(Array("UTC".utf8)[...])
        case "T": try append(Array("%H:%M:%S".utf8)[...])
        case "R": try append(Array("%H:%M".utf8)[...])
        case "F": try append(Array("%Y-%m-%d".utf8)[...])
        case "D": try append(Array("%m/%d/%y".utf8)[...])
        case "f": steps.append(Step(part: .fraction, count: 9))
        case "1"..."9":
            guard rest.popFirst() == UInt8(ascii: "f") else {
                throw Self.unknown("%\(Character(UnicodeScalar(letter)))")
            }
            steps.append(Step(part: .fraction, count: Int32(letter - 0x30)))
        case "E":
            guard let digit = rest.popFirst(), digit &- 0x31 < 9, rest.popFirst() == UInt8(ascii: "S") else {
                throw Self.unknown("%E")
            }
            steps.append(Step(part: .second))
            text(UInt8(ascii: "."))
            steps.append(Step(part: .fraction, count: Int32(digit - 0x30)))
        default: throw Self.unknown("%\(Character(UnicodeScalar(letter)))")
        }
    }

    private mutating func text(_ byte: UInt8) {
        texts.append(byte)
        if let last = steps.last, last.part == .text {
            steps[steps.count - 1].count += 1
        } else {
            steps.append(Step(part: .text, start: Int32(texts.count - 1), count: 1))
        }
    }

    private static func unknown(_ specifier: String) -> LogFormatProblem {
        LogFormatProblem(
            "\(specifier) is no specifier of time that is known here",
            hint: "there are %Y %C %y %m %d %e %H %I %M %S %j %w %A %a %B %b %p %T %R %F %D %s %z %Z, %f, "
                + "%1f to %9f and %E1S to %E9S")
    }

    // MARK: Writing

    /// - Parameter wall: nanoseconds since 1970, not negative.
    func write(_ wall: Int64, to out: inout TextWriter) {
        let (seconds, nanoseconds) = wall.quotientAndRemainder(dividingBy: 1_000_000_000)
        let (days, rest) = seconds.quotientAndRemainder(dividingBy: 86_400)
        let date = TimestampText.civil(daysSince1970: days)
        let time = UInt32(truncatingIfNeeded: rest)
        for step in steps {
            switch step.part {
            case .text:
                texts.withUnsafeBytes {
                    out.bytes(UnsafeRawBufferPointer(rebasing: $0[Int(step.start)..<Int(step.start + step.count)]))
                }
            case .year: out.decimal(date.year, width: 4)
            case .century: out.decimal(date.year / 100, width: 2)
            case .shortYear: out.decimal(date.year % 100, width: 2)
            case .month: out.decimal(date.month, width: 2)
            case .day: out.decimal(date.day, width: 2)
            case .paddedDay:
                if date.day < 10 { out.byte(UInt8(ascii: " ")) }
                out.decimal(date.day)
            case .hour: out.decimal(time / 3600, width: 2)
            case .hour12: out.decimal((time / 3600 + 11) % 12 + 1, width: 2)
            case .minute: out.decimal(time / 60 % 60, width: 2)
            case .second: out.decimal(time % 60, width: 2)
            case .dayOfYear: out.decimal(Self.dayOfYear(date), width: 3)
            case .weekday: out.decimal(UInt64(Self.weekday(days)))
            case .weekdayName: out.text(Self.weekdays[Self.weekday(days)])
            case .weekdayShort: out.short(Self.weekdays[Self.weekday(days)])
            case .monthName: out.text(Self.months[Int(date.month) - 1])
            case .monthShort: out.short(Self.months[Int(date.month) - 1])
            case .halfOfDay: out.text(time < 43_200 ? "AM" : "PM")
            case .epoch: out.decimal(UInt64(seconds))
            case .fraction:
                var value = UInt32(truncatingIfNeeded: nanoseconds)
                for _ in step.count..<9 { value /= 10 }
                out.decimal(value, width: Int(step.count))
            }
        }
    }

    private static func weekday(_ days: Int64) -> Int { Int((days + 4) % 7) }

    private static func dayOfYear(_ date: (year: UInt32, month: UInt32, day: UInt32)) -> UInt32 {
        let isLeap = date.year % 4 == 0 && (date.year % 100 != 0 || date.year % 400 == 0)
        let before: [UInt32] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]
        return before[Int(date.month) - 1] + date.day + (isLeap && date.month > 2 ? 1 : 0)
    }

    private static let weekdays: [StaticString] = [
        "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
    ]
    private static let months: [StaticString] = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
        "December",
    ]
}

extension TextWriter {
    /// The first three letters.
    fileprivate mutating func short(_ name: StaticString) {
        bytes(UnsafeRawBufferPointer(start: name.utf8Start, count: 3))
    }
}
