/// The lines in which two texts differ, with three of context, as diff -u has them.
enum UnifiedDiff {
    struct Line: Hashable, Sendable {
        enum Kind: Hashable, Sendable {
            case context, added, removed
            /// `@@ -1,4 +1,5 @@`
            case place
        }

        var kind: Kind
        var text: String

        func shown(_ style: Style) -> String {
            switch kind {
            case .context: " \(text)"
            case .added: style.paint("+\(text)", .added)
            case .removed: style.paint("-\(text)", .removed)
            case .place: style.paint(text, .faint)
            }
        }
    }

    static func of(_ old: String, _ new: String, context: Int = 3) -> [Line] {
        let script = script(lines(old), lines(new))
        var kept = [Bool](repeating: false, count: script.count)
        for index in script.indices where script[index].kind != .context {
            for near in max(0, index - context)...min(script.count - 1, index + context) { kept[near] = true }
        }
        var out: [Line] = []
        var (oldLine, newLine) = (1, 1)
        var index = 0
        while index < script.count {
            let end = script[index...].indices.first { kept[$0] != kept[index] } ?? script.count
            let hunk = script[index..<end]
            let oldCount = hunk.count { $0.kind != .added }
            let newCount = hunk.count { $0.kind != .removed }
            if kept[index] {
                out.append(Line(kind: .place, text: "@@ -\(range(oldLine, oldCount)) +\(range(newLine, newCount)) @@"))
                out += hunk
            }
            oldLine += oldCount
            newLine += newCount
            index = end
        }
        return out
    }

    /// A range without lines stands behind the line before it.
    private static func range(_ start: Int, _ count: Int) -> String {
        count == 1 ? "\(start)" : "\(count == 0 ? start - 1 : start),\(count)"
    }

    private static func lines(_ text: String) -> [String] {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines
    }

    /// All lines of both, what is removed before what is added in its place.
    private static func script(_ old: [String], _ new: [String]) -> [Line] {
        let difference = new.difference(from: old)
        let removed = Set(difference.removals.map(\.offset))
        let inserted = Set(difference.insertions.map(\.offset))
        var out: [Line] = []
        var (i, j) = (0, 0)
        while i < old.count || j < new.count {
            if i < old.count, removed.contains(i) {
                out.append(Line(kind: .removed, text: old[i]))
                i += 1
            } else if j < new.count, inserted.contains(j) {
                out.append(Line(kind: .added, text: new[j]))
                j += 1
            } else {
                out.append(Line(kind: .context, text: old[i]))
                i += 1
                j += 1
            }
        }
        return out
    }
}

extension CollectionDifference.Change {
    fileprivate var offset: Int {
        switch self {
        case .insert(let offset, _, _), .remove(let offset, _, _): offset
        }
    }
}
