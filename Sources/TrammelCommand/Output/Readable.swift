/// Numbers as people read them in a column.
enum Readable {
    /// `12s`, `5m`, `3h`, `4d`: the largest unit that fits.
    static func age(seconds: Double) -> String {
        let seconds = Int(max(0, seconds.isFinite ? min(seconds, 1e15) : 0))
        return switch seconds {
        case ..<120: "\(seconds)s"
        case ..<7200: "\(seconds / 60)m"
        case ..<172_800: "\(seconds / 3600)h"
        default: "\(seconds / 86_400)d"
        }
    }

    /// `512`, `1.5K`, `20M`: bytes by 1024.
    static func bytes(_ count: UInt64) -> String {
        guard count >= 1024 else { return String(count) }
        var value = Double(count)
        var unit = ""
        for next in ["K", "M", "G", "T", "P"] where value >= 1024 {
            value /= 1024
            unit = next
        }
        return value < 9.95 ? "\(tenths(value))\(unit)" : "\(Int(value.rounded()))\(unit)"
    }

    /// `0`, `0.3`, `12.5`, `340`: per second.
    static func rate(_ value: Double) -> String {
        guard value.isFinite, value > 0 else { return "0" }
        guard value >= 0.05 else { return "<0.1" }
        return value < 99.95 ? tenths(value) : String(Int(min(value, 1e15).rounded()))
    }

    /// `0.4`, `12`, `3500`: milliseconds; nil for what has none.
    static func milliseconds(_ value: Double?) -> String? {
        guard let value, value.isFinite else { return nil }
        return value < 9.95 ? tenths(max(0, value)) : String(Int(min(value, 1e15).rounded()))
    }

    /// `0%`, `0.4%`, `12%`; nil of none.
    static func percent(_ part: UInt64, of whole: UInt64) -> String? {
        guard whole > 0 else { return nil }
        let value = Double(part) / Double(whole) * 100
        guard value > 0 else { return "0%" }
        guard value >= 0.05 else { return "<0.1%" }
        return (value < 9.95 ? tenths(value) : String(Int(value.rounded()))) + "%"
    }

    /// `app=reviews,version=v1`.
    static func labels(_ labels: [String: String]) -> String {
        labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ",")
    }

    private static func tenths(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return tenths % 10 == 0 ? String(tenths / 10) : "\(tenths / 10).\(tenths % 10)"
    }
}
