/// A selector over labels as command lines write it: `app=reviews,version!=v1,tier`, all of which must hold.
package struct LabelSelector: Sendable, Equatable {
    package enum Term: Sendable, Equatable {
        case equal(String, String)
        case notEqual(String, String)
        case present(String)
        case absent(String)
    }

    package let terms: [Term]

    package init(terms: [Term]) { self.terms = terms }

    /// Nil when the text is no selector.
    package init?(_ text: String) {
        var terms: [Term] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let part = String(part).trimmingBlanks()
            if let range = part.firstRange(of: "!=") {
                terms.append(.notEqual(String(part[..<range.lowerBound]), String(part[range.upperBound...])))
            } else if let range = part.firstRange(of: "==") ?? part.firstRange(of: "=") {
                terms.append(.equal(String(part[..<range.lowerBound]), String(part[range.upperBound...])))
            } else if part.hasPrefix("!") {
                terms.append(.absent(String(part.dropFirst())))
            } else {
                terms.append(.present(part))
            }
        }
        let isValid = terms.allSatisfy { term in
            switch term {
            case .equal(let key, let value), .notEqual(let key, let value):
                NameSyntax.isLabelKey(key) && NameSyntax.isLabelValue(value)
            case .present(let key), .absent(let key): NameSyntax.isLabelKey(key)
            }
        }
        guard isValid else { return nil }
        self.terms = terms
    }

    package func matches(_ labels: [String: String]) -> Bool {
        terms.allSatisfy { term in
            switch term {
            case .equal(let key, let value): labels[key] == value
            case .notEqual(let key, let value): labels[key] != value
            case .present(let key): labels[key] != nil
            case .absent(let key): labels[key] == nil
            }
        }
    }
}
