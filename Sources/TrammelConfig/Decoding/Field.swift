/// A value under decoding, with the way to it (`spec.http[0].timeout`) for messages.
///
/// The readers below return nil after they have reported what is wrong.
struct Field {
    let node: ConfigNode
    let path: FieldPath
    let context: DecodingContext

    /// The chain of names and indices from the document's root; spelt out only when something is reported.
    indirect enum FieldPath {
        case root
        case name(FieldPath, String)
        case index(FieldPath, Int)

        var text: String {
            switch self {
            case .root: ""
            case .name(.root, let name): name
            case .name(let parent, let name):
                FieldPath.isPlain(name) ? "\(parent.text).\(name)" : "\(parent.text)[\(quoted(name))]"
            case .index(let parent, let index): "\(parent.text)[\(index)]"
            }
        }

        private static func isPlain(_ name: String) -> Bool {
            !name.isEmpty
                && name.utf8.allSatisfy { byte in
                    (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20) || byte == 0x5F || byte == 0x2D
                }
        }
    }

    var location: SourceLocation { context.location(node.position) }

    func error(_ code: ConfigError.Code, _ message: String, hint: String? = nil) {
        context.error(code, at: node.position, field: path.text, message, hint: hint)
    }

    func warning(_ code: ConfigError.Code, _ message: String, hint: String? = nil) {
        context.warning(code, at: node.position, field: path.text, message, hint: hint)
    }

    /// What stands there, for messages: `number 8080`, `text "x"`, `a mapping`.
    var found: String {
        switch node.value {
        case .mapping: "a mapping"
        case .sequence(let items): items.isEmpty ? "an empty list" : "a list"
        case .scalar(let scalar):
            switch scalar.type {
            case .null: "nothing"
            case .bool, .oldBool: "the truth value \(scalar.text)"
            case .integer, .float:
                "the number \(scalar.text.utf8.count > 80 ? String(scalar.text.prefix(80)) : scalar.text)"
            case .string: quoted(scalar.text)
            }
        }
    }

    func wrongType(_ expected: String, hint: String? = nil) {
        error(.wrongType, "found \(found); expected \(expected)", hint: hint)
    }

    // MARK: Collections

    /// Reports whatever `fields` does not hold.
    func object(_ fields: FieldSet) -> ObjectField? {
        guard case .mapping(let entries) = node.value else {
            wrongType("a mapping")
            return nil
        }
        return ObjectField(field: self, entries: entries, meant: entries.compactMap { check($0, fields) })
    }

    /// - Returns: the field that was meant by one that has been refused, where that is clear.
    private func check(_ entry: ConfigNode.Entry, _ fields: FieldSet) -> String? {
        let name = entry.key
        if fields.known.contains(name) { return nil }
        let place = FieldPath.name(path, name).text
        // A field left empty says nothing, whatever its name.
        if fields.later.contains(name) {
            if entry.value.isNull { return nil }
            context.error(
                .unimplemented, at: entry.keyPosition, field: place, "\(name) is not implemented yet",
                hint: context.kind.map { "remove it, or leave this \($0) out with --skip-unimplemented" })
        } else if let effect = fields.ignored[name] {
            context.warning(.ignored, at: entry.keyPosition, field: place, "\(name) has no effect here: \(effect)")
        } else if let instead = fields.withdrawn[name] {
            context.error(
                .unknownField, at: entry.keyPosition, field: place, "\(name) is not accepted here", hint: instead)
            return fields.known.first { instead == "write \($0)" || instead.hasPrefix("write \($0),") }
        } else {
            let near = NearestName.nearest(to: name, among: fields.suggestions)
            let hint =
                near.map { "did you mean \(quoted($0))?" }
                ?? (fields.known.isEmpty ? nil : "known here: \(fields.known.joined(separator: ", "))")
            if context.options.warnUnknown {
                context.warning(.unknownField, at: entry.keyPosition, field: place, "unknown field", hint: hint)
            } else {
                context.error(.unknownField, at: entry.keyPosition, field: place, "unknown field", hint: hint)
                return near
            }
        }
        return nil
    }

    /// A mapping whose keys are the user's: labels, header names.
    func map() -> [(key: String, keyPosition: ConfigNode.Position, value: Field)]? {
        guard case .mapping(let entries) = node.value else {
            wrongType("a mapping")
            return nil
        }
        return entries.map {
            ($0.key, $0.keyPosition, Field(node: $0.value, path: .name(path, $0.key), context: context))
        }
    }

    func list() -> [Field]? {
        guard case .sequence(let items) = node.value else {
            wrongType("a list", hint: hintForList)
            return nil
        }
        return items.enumerated().map { Field(node: $1, path: .index(path, $0), context: context) }
    }

    private var hintForList: String? {
        switch node.value {
        case .mapping: "begin each item with '- '"
        case .scalar(let scalar) where scalar.type != .null && scalar.text.utf8.count <= 80:
            "write [\(scalar.text.utf8.allSatisfy(Self.isPlain) ? scalar.text : quoted(scalar.text))]"
        default: nil
        }
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20) || "._-/".utf8.contains(byte)
    }

    func strings() -> [String]? {
        list()?.compactMap { $0.string() }
    }

    /// Labels, selectors: text to text.
    func stringMap() -> [String: String]? {
        guard let entries = map() else { return nil }
        var result: [String: String] = [:]
        for entry in entries { result[entry.key] = entry.value.string() }
        return result
    }

    // MARK: Scalars

    func string() -> String? {
        guard case .scalar(let scalar) = node.value, scalar.type != .null else {
            wrongType("text")
            return nil
        }
        guard scalar.type == .string else {
            wrongType("text", hint: "put it in quotes: \"\(scalar.text)\"")
            return nil
        }
        return scalar.text
    }

    func nonEmptyString(_ what: String = "text") -> String? {
        guard let text = string() else { return nil }
        guard !text.isEmpty else {
            error(.badValue, "found empty text; expected \(what)")
            return nil
        }
        return text
    }

    func bool() -> Bool? {
        guard case .scalar(let scalar) = node.value, let value = scalar.boolValue else {
            wrongType("true or false")
            return nil
        }
        return value
    }

    func integer(_ range: ClosedRange<Int>, _ what: String = "a whole number") -> Int? {
        let expected = "\(what) from \(range.lowerBound) to \(range.upperBound)"
        guard case .scalar(let scalar) = node.value, scalar.type == .integer else {
            var hint: String?
            if let text = node.string, Int(text) != nil { hint = "remove the quotes" }
            wrongType(expected, hint: hint)
            return nil
        }
        let digits = scalar.text.drop { $0 == "-" || $0 == "+" }
        if digits.utf8.count > 1, digits.hasPrefix("0") {
            error(
                .badValue, "found the number \(scalar.text), which some tools read as octal; expected \(expected)",
                hint: "write it without the leading zero, in decimal")
            return nil
        }
        guard let value = Int(scalar.text), range.contains(value) else {
            error(.badValue, "found \(found); expected \(expected)")
            return nil
        }
        return value
    }

    func port() -> UInt16? {
        integer(1...65535, "a port").map(UInt16.init)
    }

    /// One of a fixed set of words.
    /// - Parameter unoffered: known too, and not put forward: old names, and what is not built yet.
    func oneOf(_ words: [String], unoffered: [String] = []) -> String? {
        guard let text = string() else { return nil }
        if words.contains(text) || unoffered.contains(text) { return text }
        error(
            .badValue, "found \(quoted(text)); expected \(words.joined(separator: ", "))",
            hint: NearestName.hint(for: text, among: words))
        return nil
    }

    /// Nanoseconds.
    func duration(_ range: ClosedRange<UInt64>) -> UInt64? {
        let bounds = "\(DurationText.render(range.lowerBound)) to \(DurationText.render(range.upperBound))"
        guard case .scalar(let scalar) = node.value, scalar.type == .string else {
            var hint: String?
            if case .scalar(let scalar) = node.value, scalar.type == .integer || scalar.type == .float {
                hint = "give it a unit: \(scalar.text)s"
            }
            wrongType("a duration such as 1h2m3.5s or 100ms", hint: hint)
            return nil
        }
        switch DurationText.parse(scalar.text) {
        case .success(let value):
            guard range.contains(value) else {
                error(.badValue, "found \(found); expected a duration from \(bounds)")
                return nil
            }
            return value
        case .failure(let problem):
            error(.badValue, "found \(found), which \(problem); expected a duration such as 1h2m3.5s or 100ms")
            return nil
        }
    }
}

/// A mapping whose field names have been checked.
struct ObjectField {
    let field: Field
    let entries: [ConfigNode.Entry]
    /// Names of fields that others in it were meant for, which has been told.
    var meant: [String] = []

    /// The field of that name; nil where it is absent or left empty, which means the same.
    subscript(name: String) -> Field? {
        guard let entry = entries.first(where: { $0.key == name }), !entry.value.isNull else { return nil }
        return Field(node: entry.value, path: .name(field.path, name), context: field.context)
    }

    /// The field of that name, its absence being an error.
    func required(_ name: String, _ what: String) -> Field? {
        if let field = self[name] { return field }
        if meant.contains(name) { return nil }
        // An empty `hosts:` is pointed at where it stands, an absent one where its mapping begins.
        let position = entries.first { $0.key == name }?.keyPosition ?? field.node.position
        field.context.error(
            .missing, at: position, field: Field.FieldPath.name(field.path, name).text, "missing; expected \(what)")
        return nil
    }

    /// Reports every pair of `names` that are both there.
    func exclusive(_ names: [String], hint: String? = nil) {
        let present = names.filter { self[$0] != nil }
        guard present.count > 1, let second = self[present[1]] else { return }
        second.error(.conflict, "found together with \(present[0]); they exclude each other", hint: hint)
    }
}
