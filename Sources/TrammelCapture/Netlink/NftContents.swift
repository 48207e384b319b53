import CNetfilter
import Glibc
import Synchronization
import TrammelCore

/// What a table holds, in the kernel or as it was encoded, in a form that can be compared: expressions as the kernel's
/// bytecode is written, without counts and handles.
struct NftContents: Equatable, Sendable {
    struct Chain: Equatable, Sendable {
        let name: String
        /// `type filter hook 0 priority -150`, or empty for one that is only jumped to.
        let hook: String
        var rules: [Rule] = []
    }

    struct Rule: Equatable, Sendable {
        let expressions: [String]
        /// What its counter has seen; not compared.
        var packets: UInt64? = nil
        var bytes: UInt64? = nil

        static func == (a: Rule, b: Rule) -> Bool { a.expressions == b.expressions }
    }

    var chains: [Chain] = []
    /// The members of each named set, as bytes in hexadecimal, sorted; interval ends are marked.
    var sets: [String: [String]] = [:]

    var chainsByName: [String: Chain] {
        Dictionary(chains.map { ($0.name, $0) }) { first, _ in first }
    }

    // MARK: As encoded

    init(encoding table: NftTable) throws {
        for set in table.sets { sets[set.name] = set.members.elements.map(NftContents.text).sorted() }
        for map in table.maps { sets[map.name] = map.elements.map(NftContents.text).sorted() }
        let ids = Dictionary(uniqueKeysWithValues: Set(sets.keys).map { ($0, UInt32(1)) })
        for chain in table.chains {
            let hook = chain.hook.map {
                NftContents.hook($0.kind.rawValue, $0.point.rawValue, $0.priority)
            }
            chains.append(
                Chain(
                    name: chain.name, hook: hook ?? "",
                    rules: try chain.rules.map { try NftContents.rule($0, table.name, ids) }))
        }
    }

    /// The same, remembered for as long as no other table is asked for: many namespaces hold one that is alike.
    static func expected(of table: NftTable) throws -> NftContents {
        var key = table
        key.comment = nil
        if let contents = last.withLock({ $0?.table == key ? $0?.contents : nil }) { return contents }
        let contents = try NftContents(encoding: key)
        last.withLock { $0 = (key, contents) }
        return contents
    }

    private static let last = Mutex<(table: NftTable, contents: NftContents)?>(nil)

    private static func rule(_ rule: NftRule, _ table: String, _ setIDs: [String: UInt32]) throws -> Rule {
        var encoder = try NftRuleEncoder(table: table, chain: "", comment: nil)
        encoder.setIDs = setIDs
        // Anonymous sets all bear one name before the kernel gives them theirs; their order tells them apart.
        var anonymous: [[String]] = []
        for match in rule.matches {
            if let constants = match.constants { anonymous.append(constants.elements.map(text).sorted()) }
            try encoder.add(match)
        }
        for statement in rule.statements { try encoder.add(statement) }
        var rest = anonymous[...]
        return read(encoder.rule) { _ in rest.popFirst() ?? [] }
    }

    // MARK: As installed

    init(chains: [Chain], sets: [String: [String]]) {
        self.chains = chains
        self.sets = sets
    }

    /// - Parameter members: those of the anonymous set of a name.
    static func read(_ rule: OpaquePointer, members: (String) -> [String]) -> Rule {
        var expressions: [String] = []
        var packets: UInt64?
        var bytes: UInt64?
        guard let iterator = nftnl_expr_iter_create(rule) else { return Rule(expressions: []) }
        defer { nftnl_expr_iter_destroy(iterator) }
        while let expression = nftnl_expr_iter_next(iterator) {
            let name = nftnl_expr_get_str(expression, UInt16(NFTNL_EXPR_NAME)).map { String(cString: $0) } ?? ""
            switch name {
            case "counter":
                packets = nftnl_expr_get_u64(expression, UInt16(NFTNL_EXPR_CTR_PACKETS))
                bytes = nftnl_expr_get_u64(expression, UInt16(NFTNL_EXPR_CTR_BYTES))
                expressions.append("counter")
            case "lookup":
                let set =
                    nftnl_expr_get_str(expression, UInt16(NFTNL_EXPR_LOOKUP_SET)).map { String(cString: $0) } ?? ""
                let inverted = nftnl_expr_get_u32(expression, UInt16(NFTNL_EXPR_LOOKUP_FLAGS)) != 0
                let target = set.hasPrefix("__set") ? "{ \(members(set).joined(separator: ", ")) }" : "@\(set)"
                let isMap = nftnl_expr_is_set(expression, UInt16(NFTNL_EXPR_LOOKUP_DREG))
                expressions.append("\(isMap ? "vmap" : "lookup") \(inverted ? "!= " : "")\(target)")
            case "dynset":
                // The kernel adds what the set says by itself.
                let set =
                    nftnl_expr_get_str(expression, UInt16(NFTNL_EXPR_DYNSET_SET_NAME)).map { String(cString: $0) } ?? ""
                let operation = nftnl_expr_get_u32(expression, UInt16(NFTNL_EXPR_DYNSET_OP))
                expressions.append("dynset \(operation) @\(set)")
            default:
                expressions.append("\(name) \(describe(expression))")
            }
        }
        return Rule(expressions: expressions, packets: packets, bytes: bytes)
    }

    private static func describe(_ expression: OpaquePointer) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 1024) { buffer in
            guard let base = buffer.baseAddress,
                nftnl_expr_snprintf(base, buffer.count, expression, UInt32(NFTNL_OUTPUT_DEFAULT.rawValue), 0) >= 0
            else { return "?" }
            // The library leaves a blank here and there.
            var length = 0
            var isAfterBlank = true
            for character in buffer.prefix(while: { $0 != 0 }) {
                let isBlank = character == CChar(UInt8(ascii: " "))
                defer { isAfterBlank = isBlank }
                if isBlank, isAfterBlank { continue }
                buffer[length] = character
                length += 1
            }
            if length > 0, isAfterBlank { length -= 1 }
            return String(
                decoding: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<length]), as: UTF8.self)
        }
    }

    static func hook(_ kind: String, _ point: UInt32, _ priority: Int32) -> String {
        "type \(kind) hook \(point) priority \(priority)"
    }

    static func text(_ element: NftSetElement) -> String {
        hexadecimal(element.key) + (element.lastKey.map { "-" + hexadecimal($0) } ?? "")
            + (element.isIntervalEnd ? " end" : "") + (element.verdict.map { " : \($0.text)" } ?? "")
    }

    private static func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
    }
}
