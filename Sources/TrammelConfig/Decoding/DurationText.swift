/// Durations as Istio and Go write them: `1h2m3.5s`, `100ms`; units h, m, s, ms, us (or µs), ns.
package enum DurationText {
    /// Why a text is no duration, as the end of a sentence.
    package struct Problem: Error, CustomStringConvertible {
        package let description: String
    }

    private static let units: [(name: String, nanoseconds: UInt64)] = [
        ("h", 3_600_000_000_000), ("ms", 1_000_000), ("m", 60_000_000_000), ("us", 1000), ("µs", 1000), ("μs", 1000),
        ("ns", 1), ("s", 1_000_000_000),
    ]

    /// Nanoseconds. Bounded by UInt64 (584 years).
    package static func parse(_ text: String) -> Result<UInt64, Problem> {
        func fail(_ why: String) -> Result<UInt64, Problem> { .failure(Problem(description: why)) }
        guard text.utf8.count <= 64 else { return fail("is too long") }
        if text == "0" { return .success(0) }
        if text.hasPrefix("-") { return fail("is negative") }
        var rest = text[...]
        if rest.isEmpty { return fail("is empty") }
        var total: UInt64 = 0
        while !rest.isEmpty {
            let whole = rest.prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(whole.count)
            var fraction = rest[rest.startIndex..<rest.startIndex]
            if rest.hasPrefix(".") {
                fraction = rest.dropFirst().prefix { $0.isASCII && $0.isNumber }
                rest = rest.dropFirst(1 + fraction.count)
            }
            guard !whole.isEmpty || !fraction.isEmpty else { return fail("has no number before \(quoted(rest))") }
            let name = rest.prefix { !($0.isASCII && $0.isNumber) && $0 != "." }
            guard let unit = units.first(where: { $0.name == name }) else {
                return fail(name.isEmpty ? "has no unit" : "has the unknown unit \(quoted(name))")
            }
            rest = rest.dropFirst(name.count)
            guard let value = UInt64(whole.isEmpty ? "0" : whole) else { return fail("is too long a time") }
            let (product, tooMany) = value.multipliedReportingOverflow(by: unit.nanoseconds)
            let (sum, tooLarge) = total.addingReportingOverflow(product)
            let (next, overflow) = sum.addingReportingOverflow(part(fraction, of: unit.nanoseconds))
            guard !tooMany, !tooLarge, !overflow else { return fail("is too long a time") }
            total = next
        }
        return .success(total)
    }

    /// `.5` of a second in nanoseconds; digits below a nanosecond are dropped.
    private static func part(_ fraction: Substring, of unit: UInt64) -> UInt64 {
        var scale = unit
        var sum: UInt64 = 0
        for digit in fraction.utf8 {
            scale /= 10
            sum += UInt64(digit - UInt8(ascii: "0")) * scale
        }
        return sum
    }

    /// The shortest text that `parse` takes back: `1h30m`, `250ms`, `0s`.
    package static func render(_ nanoseconds: UInt64) -> String {
        if nanoseconds == 0 { return "0s" }
        var rest = nanoseconds
        var text = ""
        for (name, unit) in [
            ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1000),
            ("ns", 1),
        ] as [(String, UInt64)] where rest >= unit {
            text += "\(rest / unit)\(name)"
            rest %= unit
        }
        return text
    }
}
