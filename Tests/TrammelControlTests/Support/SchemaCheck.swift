import TrammelControlAPI

/// Holds a value against a JSON Schema, as far as the API's description makes use of them. An unknown keyword is a fault.
struct SchemaCheck {
    /// The whole description, for `$ref`.
    let document: JSONValue

    /// What is wrong, each with its place; nothing is good.
    func faults(of value: JSONValue, against schema: JSONValue, at place: String = "$") -> [String] {
        guard case .object(let keywords) = schema else { return ["\(place): the schema is no object"] }
        return keywords.sorted { $0.key < $1.key }.flatMap { keyword, wanted in
            judge(value, keyword, wanted, keywords, place)
        }
    }

    private func judge(
        _ value: JSONValue, _ keyword: String, _ wanted: JSONValue, _ schema: [String: JSONValue], _ place: String
    ) -> [String] {
        func fault(_ isSound: Bool) -> [String] { isSound ? [] : ["\(place): \(value) is not \(keyword) \(wanted)"] }
        switch (keyword, wanted, value) {
        case ("description", _, _), ("format", "date-time", .string): return []
        case ("$ref", .string(let reference), _):
            guard let found = resolve(reference) else { return ["\(place): \(reference) leads nowhere"] }
            return faults(of: value, against: found, at: place)
        case ("type", .string(let name), _): return fault(Self.type(of: value).contains(name))
        case ("enum", .array(let values), _): return fault(values.contains(value))
        case ("minimum", .integer(let least), _): return fault(Self.number(value).map { $0 >= Double(least) } ?? false)
        case ("maximum", .integer(let most), _): return fault(Self.number(value).map { $0 <= Double(most) } ?? false)
        case ("minLength", .integer(let least), .string(let text)): return fault(text.unicodeScalars.count >= least)
        case ("pattern", .string(let pattern), .string(let text)):
            guard let regex = try? Regex(pattern) else { return ["\(place): \(pattern) is no pattern"] }
            return fault(text.contains(regex))
        case ("items", _, .array(let items)):
            return items.enumerated().flatMap { faults(of: $1, against: wanted, at: "\(place)[\($0)]") }
        case ("required", .array(let names), .object(let members)):
            return fault(names.allSatisfy { members[$0.stringValue ?? ""] != nil })
        case ("properties", .object(let properties), .object(let members)):
            return members.sorted { $0.key < $1.key }.flatMap { name, member in
                properties[name].map { faults(of: member, against: $0, at: "\(place).\(name)") } ?? []
            }
        case ("additionalProperties", .bool(false), .object(let members)):
            guard case .object(let properties)? = schema["properties"] else { return fault(members.isEmpty) }
            return fault(members.keys.allSatisfy { properties[$0] != nil })
        case ("additionalProperties", .object, .object(let members)):
            return members.flatMap { faults(of: $1, against: wanted, at: "\(place).\($0)") }
        case ("anyOf", .array(let schemas), _):
            return fault(schemas.contains { faults(of: value, against: $0).isEmpty })
        case ("oneOf", .array(let schemas), _):
            return fault(schemas.filter { faults(of: value, against: $0).isEmpty }.count == 1)
        default: return ["\(place): \(keyword) \(wanted) is not for \(value)"]
        }
    }

    func resolve(_ reference: String) -> JSONValue? {
        let name = reference.split(separator: "/").last.map(String.init) ?? ""
        guard reference == "#/components/schemas/\(name)" else { return nil }
        return document["components"]?["schemas"]?[name]
    }

    private static func type(of value: JSONValue) -> [String] {
        switch value {
        case .null: ["null"]
        case .bool: ["boolean"]
        case .integer: ["integer", "number"]
        case .number: ["number"]
        case .string: ["string"]
        case .array: ["array"]
        case .object: ["object"]
        }
    }

    private static func number(_ value: JSONValue) -> Double? {
        switch value {
        case .integer(let number): Double(number)
        case .number(let number): number
        default: nil
        }
    }
}
