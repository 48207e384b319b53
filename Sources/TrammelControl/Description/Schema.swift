import TrammelControlAPI

/// A JSON Schema (2020-12, as OpenAPI 3.1 has it), put together from few words.
struct Schema: Sendable {
    let json: JSONValue

    private init(_ members: [String: JSONValue]) { json = .object(members) }

    static let string = Schema(["type": "string"])
    static let boolean = Schema(["type": "boolean"])
    static let number = Schema(["type": "number"])
    /// Not below zero.
    static let count = integer(atLeast: 0)
    static let port = integer(atLeast: 0, atMost: 65_535)
    /// RFC 3339.
    static let time = Schema(["type": "string", "format": "date-time"])
    /// Of a target: anything but the byte that ends strings.
    static let words = text(like: "^[^\\u0000]*$")
    static let name = text(like: "^[^\\u0000]+$")
    /// Any JSON object.
    static let document = Schema(["type": "object"])

    static func integer(atLeast least: Int64, atMost most: Int64? = nil) -> Schema {
        var members: [String: JSONValue] = ["type": "integer", "minimum": .integer(least)]
        if let most { members["maximum"] = .integer(most) }
        return Schema(members)
    }

    static func text(like pattern: String) -> Schema { Schema(["type": "string", "pattern": .string(pattern)]) }

    static func one(of values: [String]) -> Schema {
        Schema(["type": "string", "enum": .array(values.map { .string($0) })])
    }

    static func list(_ item: Schema) -> Schema { Schema(["type": "array", "items": item.json]) }

    static func map(_ value: Schema) -> Schema { Schema(["type": "object", "additionalProperties": value.json]) }

    static func any(of schemas: Schema...) -> Schema { Schema(["anyOf": .array(schemas.map(\.json))]) }

    /// One of `MessageSchemas.all`, by name.
    static func message(_ name: String) -> Schema { Schema(["$ref": .string("#/components/schemas/\(name)")]) }

    /// An object with these members and no others.
    static func object(_ members: Member...) -> Schema { object(members) }

    static func object(_ members: [Member]) -> Schema {
        let properties = members.map { member -> (String, JSONValue) in
            guard let note = member.note, case .object(var json) = member.schema.json else {
                return (member.name, member.schema.json)
            }
            json["description"] = .string(note)
            return (member.name, .object(json))
        }
        return Schema([
            "type": "object", "properties": .object(Dictionary(uniqueKeysWithValues: properties)),
            "required": .array(members.filter(\.isRequired).map { .string($0.name) }),
            "additionalProperties": .bool(false),
        ])
    }

    /// With exactly one of the optional members `names`.
    func withOne(of names: [String]) -> Schema {
        adding("oneOf", .array(names.map { .object(["required": .array([.string($0)])]) }))
    }

    func described(_ text: String) -> Schema { adding("description", .string(text)) }

    private func adding(_ key: String, _ value: JSONValue) -> Schema {
        guard case .object(var members) = json else { return self }
        members[key] = value
        return Schema(members)
    }

    /// A member of an object.
    struct Member: Sendable {
        let name: String
        let schema: Schema
        let isRequired: Bool
        let note: String?

        /// Always there.
        static func has(_ name: String, _ schema: Schema = .string, _ note: String? = nil) -> Member {
            Member(name: name, schema: schema, isRequired: true, note: note)
        }

        /// There where it is known, or wanted.
        static func may(_ name: String, _ schema: Schema = .string, _ note: String? = nil) -> Member {
            Member(name: name, schema: schema, isRequired: false, note: note)
        }
    }
}
