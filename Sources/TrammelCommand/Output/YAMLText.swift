import TrammelControlAPI
import Yams

/// Writes JSON values as block-style YAML, keys in order.
enum YAMLText {
    static func of(_ message: some Encodable) throws -> String {
        try of(ControlJSON.decode(JSONValue.self, from: ControlJSON.encode(message)))
    }

    static func of(_ value: JSONValue) throws -> String {
        try serialize(node: node(value), width: -1, allowUnicode: true)
    }

    private static func node(_ value: JSONValue) throws -> Node {
        switch value {
        case .null: Node("null", Tag(.null))
        case .bool(let value): Node(value ? "true" : "false", Tag(.bool))
        case .integer(let value): Node(String(value), Tag(.int))
        case .number(let value): Node(String(value), Tag(.float))
        // Represented by the library, which quotes what would else be read as something other than text.
        case .string(let value): .scalar(value.represented())
        case .array(let values): try Node(values.map(node), Tag(.seq), values.isEmpty ? .flow : .block)
        case .object(let members):
            try Node(
                members.sorted { $0.key < $1.key }.map { try (.scalar($0.key.represented()), node($0.value)) },
                Tag(.map),
                members.isEmpty ? .flow : .block)
        }
    }
}
