/// Finds the name that somebody probably meant.
package enum NearestName {
    /// The candidate closest to `text`, regardless of case; nil when none is close enough to be a likely slip of the
    /// keyboard (a third of its letters, three at most). Ties go to the first in the order of `candidates`.
    package static func nearest(to text: String, among candidates: some Sequence<String>) -> String? {
        let written = Array(text.lowercased().unicodeScalars)
        // A text far longer than any name is no slip, and the distance costs its square.
        guard !written.isEmpty, written.count <= 128 else { return nil }
        var best: (name: String, distance: Int)?
        for candidate in candidates {
            let name = Array(candidate.lowercased().unicodeScalars)
            let allowed = min(3, max(1, max(written.count, name.count) / 3))
            guard abs(name.count - written.count) <= allowed else { continue }
            let distance = distance(written, name)
            if distance <= allowed, distance < best?.distance ?? .max { best = (candidate, distance) }
        }
        return best?.name
    }

    /// `did you mean "uri"?`, where something is near.
    package static func hint(for text: String, among candidates: some Sequence<String>) -> String? {
        nearest(to: text, among: candidates).map { "did you mean \(quoted($0))?" }
    }

    /// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours each count one.
    private static func distance(_ a: [Unicode.Scalar], _ b: [Unicode.Scalar]) -> Int {
        if b.isEmpty { return a.count }
        var beforeLast = [Int](repeating: 0, count: b.count + 1)
        var last = Array(0...b.count)
        var row = last
        for i in 1...a.count {
            row[0] = i
            for j in 1...b.count {
                let cost = a[i - 1] == b[j - 1] ? 0 : 1
                row[j] = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + cost)
                if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] {
                    row[j] = min(row[j], beforeLast[j - 2] + 1)
                }
            }
            (beforeLast, last, row) = (last, row, beforeLast)
        }
        return last[b.count]
    }
}

/// A text as messages show it: in quotes, control characters escaped, cut after 80 characters.
package func quoted(_ text: some StringProtocol) -> String {
    var out = "\""
    for (count, scalar) in text.unicodeScalars.enumerated() {
        if count == 80 { return out + "…\"" }
        switch scalar {
        case "\"", "\\": out += "\\\(scalar)"
        case "\n": out += "\\n"
        case "\t": out += "\\t"
        case _ where scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value):
            out += "\\u{\(String(scalar.value, radix: 16))}"
        default: out.unicodeScalars.append(scalar)
        }
    }
    return out + "\""
}
