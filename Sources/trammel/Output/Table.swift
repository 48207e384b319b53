/// Columns under headings, aligned, two spaces apart. A cell that says nothing shows `-`.
struct Table {
    private var rows: [[String]]

    init(_ headings: [String]) { rows = [headings] }

    mutating func add(_ cells: [String]) { rows.append(cells) }

    var isEmpty: Bool { rows.count == 1 }

    var text: String {
        let cells = rows.map { $0.map { $0.isEmpty ? "-" : $0.replacing("\n", with: " ") } }
        let widths = (0..<rows[0].count).map { column in cells.map { $0[column].count }.max() ?? 0 }
        return cells.map { row in
            let padded = zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
            var line = padded.joined(separator: "  ")
            while line.last == " " { line.removeLast() }
            return line + "\n"
        }.joined()
    }
}

/// Numbers as people read them in a column.
enum Readable {
    /// `12s`, `5m`, `3h`, `4d`: the largest unit that fits.
    static func age(seconds: Double) -> String {
        let seconds = Int(max(0, seconds.isFinite ? seconds : 0))
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
        let tenths = Int((value * 10).rounded())
        return value < 10 ? "\(tenths / 10).\(tenths % 10)\(unit)" : "\(Int(value.rounded()))\(unit)"
    }

    /// `app=reviews,version=v1`.
    static func labels(_ labels: [String: String]) -> String {
        labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ",")
    }
}
