import TrammelCore

/// What one family's tables hold, read from `iptables-save -c`: rules of others and Trammel's.
struct IptablesDump: Hashable, Sendable {
    struct Rule: Hashable, Sendable {
        /// As after `-A CHAIN `.
        let text: String
        let packets: UInt64
        let bytes: UInt64

        /// The chain that it jumps or goes to, where that is one of Trammel's.
        var target: String? {
            let words = text.split(separator: " ")
            guard let option = words.lastIndex(where: { $0 == "-j" || $0 == "-g" }), option + 1 < words.count,
                words[option + 1].hasPrefix(IptablesRuleset.prefix)
            else { return nil }
            return String(words[option + 1])
        }
    }

    struct Chain: Hashable, Sendable {
        let name: String
        /// What becomes of packets at its end; `-` for a chain that is not built in.
        let policy: String
        var rules: [Rule] = []

        var isTrammels: Bool { name.hasPrefix(IptablesRuleset.prefix) }
    }

    struct Table: Hashable, Sendable {
        let name: String
        var chains: [Chain] = []

        subscript(_ chain: String) -> Chain? { chains.first { $0.name == chain } }

        var isTrammels: Bool {
            chains.contains { $0.isTrammels || $0.rules.contains { $0.target != nil } }
        }

        /// Rules that are not Trammel's.
        var strangers: Int {
            chains.reduce(0) { sum, chain in
                sum + (chain.isTrammels ? 0 : chain.rules.count { $0.target == nil })
            }
        }
    }

    var tables: [Table] = []

    subscript(_ table: String) -> Table? { tables.first { $0.name == table } }

    var isTrammels: Bool { tables.contains(where: \.isTrammels) }

    /// How many rules others have put there.
    var strangers: Int { tables.reduce(0) { $0 + $1.strangers } }

    init() {}

    /// Lines that are none of a table's (comments, warnings) are passed over.
    init(_ text: String) {
        for line in text.split(separator: "\n") {
            switch line.first {
            case "*": tables.append(Table(name: String(line.dropFirst())))
            case ":": add(chain: line.dropFirst())
            case "[", "-": add(rule: line)
            default: continue
            }
        }
    }

    /// `NAME POLICY [packets:bytes]`
    private mutating func add(chain line: Substring) {
        let words = line.split(separator: " ")
        guard words.count >= 2, !tables.isEmpty else { return }
        tables[tables.count - 1].chains.append(Chain(name: String(words[0]), policy: String(words[1])))
    }

    /// `[packets:bytes] -A CHAIN RULE`, the first only with `-c`.
    private mutating func add(rule line: Substring) {
        var rest = line
        var counts: [UInt64] = []
        if rest.first == "[", let end = rest.firstIndex(of: "]") {
            counts = rest[rest.index(after: rest.startIndex)..<end].split(separator: ":").compactMap { UInt64($0) }
            rest = rest[rest.index(after: end)...].drop { $0 == " " }
        }
        let words = rest.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: true)
        guard words.count >= 2, words[0] == "-A", let table = tables.indices.last,
            let chain = tables[table].chains.firstIndex(where: { $0.name == words[1] })
        else { return }
        let text = words.count > 2 ? String(words[2]) : ""
        tables[table].chains[chain].rules.append(
            Rule(text: text, packets: counts.first ?? 0, bytes: counts.count > 1 ? counts[1] : 0))
    }
}
