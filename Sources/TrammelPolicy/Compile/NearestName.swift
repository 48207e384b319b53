/// The name that somebody will have meant who wrote another.
enum NearestName {
    /// The candidate that takes the fewest edits to become `name`, where that is at most a third of its length, of
    /// several the first in the alphabet.
    static func of(_ name: String, among candidates: some Sequence<String>) -> String? {
        let name = Array(name.utf8)
        var best: (distance: Int, candidate: String)?
        for candidate in candidates {
            let limit = min(best?.distance ?? name.count - 1, max(1, max(name.count, candidate.utf8.count) / 3))
            guard abs(candidate.utf8.count - name.count) <= limit else { continue }
            let distance = distance(name, Array(candidate.utf8))
            guard distance <= limit else { continue }
            if let best, best.distance == distance, best.candidate < candidate { continue }
            best = (distance, candidate)
        }
        return best?.candidate
    }

    /// ` (did you mean "reviews"?)`, or nothing.
    static func hint(for name: String, among candidates: some Sequence<String>) -> String {
        of(name, among: candidates).map { " (did you mean \"\($0)\"?)" } ?? ""
    }

    /// Insertions, removals, replacements and swaps of neighbours (optimal string alignment).
    private static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var beforeLast: [Int] = []
        var last = Array(0...b.count)
        for i in a.indices {
            var row = [i + 1]
            for j in b.indices {
                var cost = min(row[j] + 1, last[j + 1] + 1, last[j] + (a[i] == b[j] ? 0 : 1))
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { cost = min(cost, beforeLast[j - 1] + 1) }
                row.append(cost)
            }
            beforeLast = last
            last = row
        }
        return last[b.count]
    }
}
