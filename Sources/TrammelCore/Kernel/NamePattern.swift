/// A name with `*` for any text and `?` for any one character.
package struct NamePattern: Sendable, Equatable {
    private let pattern: [Character]

    /// Nil for a name that stands for itself, and for a path.
    package init?(_ text: some StringProtocol) {
        guard !text.contains("/"), text.contains(where: { $0 == "*" || $0 == "?" }) else { return nil }
        pattern = Array(text)
    }

    /// In time linear in the product of the lengths, whatever the pattern.
    package func matches(_ name: String) -> Bool {
        let name = Array(name)
        var (at, place) = (0, 0)
        /// Where the last `*` stands, and how much of the name it has taken.
        var star: (pattern: Int, name: Int)?
        while place < name.count {
            if at < pattern.count, pattern[at] == "*" {
                star = (at, place)
                at += 1
            } else if at < pattern.count, pattern[at] == "?" || pattern[at] == name[place] {
                at += 1
                place += 1
            } else if let (last, taken) = star {
                star = (last, taken + 1)
                at = last + 1
                place = taken + 1
            } else {
                return false
            }
        }
        return pattern[at...].allSatisfy { $0 == "*" }
    }
}

/// An absolute path of which some parts are patterns: `/run/jobs/*/net`. A `*` takes nothing of the next part.
package struct PathPattern: Sendable, Equatable {
    private enum Part: Sendable, Equatable {
        case name(String)
        case pattern(NamePattern)
    }

    private let parts: [Part]

    /// Nil for a path that stands for itself, and for a name.
    package init?(_ text: String) {
        guard text.hasPrefix("/") else { return nil }
        parts = text.split(separator: "/").map { part in
            NamePattern(part).map(Part.pattern) ?? .name(String(part))
        }
        guard parts.contains(where: { if case .pattern = $0 { true } else { false } }) else { return nil }
    }

    /// What fits it, in order, with the parts that patterns took: what tells one from the others.
    /// - Parameter names: of what is in the folder at a path; that of the root is empty.
    package func paths(by names: (String) -> [String]) -> [(path: String, taken: [String])] {
        var found: [(path: String, taken: [String])] = [("", [])]
        for part in parts {
            switch part {
            case .name(let name): found = found.map { ($0.path + "/" + name, $0.taken) }
            case .pattern(let pattern):
                found = found.flatMap { above in
                    names(above.path).filter { !$0.hasPrefix(".") && pattern.matches($0) }.sorted()
                        .map { (above.path + "/" + $0, above.taken + [$0]) }
                }
            }
        }
        return found
    }

    /// The parts that patterns take of a path; nil where it does not fit.
    package func taken(of path: String) -> [String]? {
        let given = path.split(separator: "/").map(String.init)
        guard given.count == parts.count else { return nil }
        var taken: [String] = []
        for (part, name) in zip(parts, given) {
            switch part {
            case .name(let wanted): guard wanted == name else { return nil }
            case .pattern(let pattern):
                guard pattern.matches(name) else { return nil }
                taken.append(name)
            }
        }
        return taken
    }
}
