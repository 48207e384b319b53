/// A document as it was written, free of the parser that read it: a tree whose every key and value knows its line and
/// column. Decoding walks it, the store keeps it, `get` renders it.
package struct ConfigNode: Sendable {
    package let value: Value
    package let position: Position

    package indirect enum Value: Sendable {
        case scalar(ConfigScalar)
        case sequence([ConfigNode])
        /// In the order of the document; keys are unique.
        case mapping([Entry])
    }

    package struct Entry: Sendable {
        package let key: String
        package let keyPosition: Position
        package var value: ConfigNode

        package init(key: String, keyPosition: Position, value: ConfigNode) {
            self.key = key
            self.keyPosition = keyPosition
            self.value = value
        }
    }

    /// 1-based; columns count Unicode scalars.
    package struct Position: Sendable, Hashable {
        package var line: Int32
        package var column: Int32

        package init(line: Int, column: Int) {
            self.line = Int32(clamping: line)
            self.column = Int32(clamping: column)
        }
    }

    package init(_ value: Value, at position: Position) {
        self.value = value
        self.position = position
    }

    package subscript(key: String) -> ConfigNode? {
        guard case .mapping(let entries) = value else { return nil }
        return entries.first { $0.key == key }?.value
    }

    package var isNull: Bool {
        if case .scalar(let scalar) = value { return scalar.type == .null }
        return false
    }

    /// The text of a scalar of type string; nil for anything else.
    package var string: String? {
        guard case .scalar(let scalar) = value, scalar.type == .string else { return nil }
        return scalar.text
    }
}

/// A scalar's text and what it is taken for. The text is kept, so that `1.10` does not become `1.1`.
package struct ConfigScalar: Sendable, Hashable {
    package let text: String
    package let type: ScalarType

    package enum ScalarType: UInt8, Sendable {
        case string, null, bool, integer, float
        /// Plain `yes`, `no`, `on`, `off`: a truth value to YAML 1.1 (so to Kubernetes), a word to YAML 1.2.
        case oldBool
    }

    package init(string text: String) {
        self.text = text
        type = .string
    }

    init(_ text: String, _ type: ScalarType) {
        self.text = text
        self.type = type
    }

    /// A scalar written without quotes: its type follows from its text, as in the tools of Kubernetes.
    package init(plain text: String) {
        self.text = text
        type = ConfigScalar.type(ofPlain: text)
    }

    package var boolValue: Bool? {
        switch type {
        case .bool, .oldBool: ["true", "yes", "on"].contains(text.lowercased())
        default: nil
        }
    }

    /// A number without the plus before it, which JSON has no place for; the text of anything else.
    var unsigned: Substring { text.dropFirst(isNumber && text.hasPrefix("+") ? 1 : 0) }

    private var isNumber: Bool { type == .integer || type == .float }

    private static func type(ofPlain text: String) -> ScalarType {
        // No word below is longer; a number of more digits is a number still.
        guard let first = text.utf8.first else { return .null }
        switch first {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "."):
            return numberType(text)
        case UInt8(ascii: "~"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"):
            guard text.utf8.count <= 5 else { return .string }
        default:
            return .string
        }
        switch text {
        case "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE", "false", "False", "FALSE": return .bool
        case "yes", "Yes", "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF": return .oldBool
        default: return .string
        }
    }

    /// Integers in decimal, `0x`, `0o`, `0b` or leading-zero octal, with `_` allowed as YAML 1.1 does; decimal floats,
    /// `.inf`, `.nan`; anything else is a word.
    private static func numberType(_ text: String) -> ScalarType {
        var rest = Substring(text)
        if rest.hasPrefix("-") || rest.hasPrefix("+") { rest = rest.dropFirst() }
        if [".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"].contains(rest) { return .float }
        if rest.utf8.count > 2, rest.hasPrefix("0") {
            let digits = rest.dropFirst(2)
            switch rest.utf8.dropFirst().first {
            case UInt8(ascii: "x"): return digits.utf8.allSatisfy(isHexDigit) ? .integer : .string
            case UInt8(ascii: "o"), UInt8(ascii: "b"): return digits.utf8.allSatisfy(isDigit) ? .integer : .string
            default: break
            }
        }
        var digits = 0, points = 0, exponents = 0
        var previous: UInt8 = 0
        for byte in rest.utf8 {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digits += 1
            case UInt8(ascii: "_") where digits > 0: break
            case UInt8(ascii: ".") where points == 0 && exponents == 0: points += 1
            case UInt8(ascii: "e"), UInt8(ascii: "E"):
                guard exponents == 0, digits > 0 else { return .string }
                exponents += 1
            case UInt8(ascii: "-"), UInt8(ascii: "+"):
                guard previous | 0x20 == UInt8(ascii: "e") else { return .string }
            default: return .string
            }
            previous = byte
        }
        guard digits > 0, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(previous) || previous == UInt8(ascii: ".")
        else { return .string }
        return points == 0 && exponents == 0 ? .integer : .float
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
    private static func isHexDigit(_ byte: UInt8) -> Bool {
        isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte | 0x20)
    }
}

extension ConfigNode {
    /// Whether both say the same, wherever they were written and in whatever order their keys come.
    package func says(sameAs other: ConfigNode) -> Bool {
        switch (value, other.value) {
        case (.scalar(let a), .scalar(let b)):
            if a.type == .null || b.type == .null { return a.type == b.type }
            // `yes` and `true` are written alike once they have been stored.
            if let one = a.boolValue, let other = b.boolValue { return one == other }
            return a.type == b.type && a.unsigned == b.unsigned
        case (.sequence(let a), .sequence(let b)):
            return a.count == b.count && zip(a, b).allSatisfy { $0.says(sameAs: $1) }
        case (.mapping(let a), .mapping(let b)):
            guard a.count == b.count else { return false }
            // Most documents come back in the order they had; only then is a look-up by name needed.
            if zip(a, b).allSatisfy({ $0.key == $1.key }) {
                return zip(a, b).allSatisfy { $0.value.says(sameAs: $1.value) }
            }
            let byKey = Dictionary(b.map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first })
            return a.allSatisfy { entry in byKey[entry.key].map { entry.value.says(sameAs: $0) } ?? false }
        default:
            return false
        }
    }
}
