/// Decodes Istio's `headers`: edits of a request's and a response's header fields.
enum HeaderDecoding {
    private static let fields = FieldSet(["request", "response"])
    private static let editFields = FieldSet(["set", "add", "remove"])

    /// The names that did this before there was `headers`.
    static let withdrawn = [
        "appendHeaders": "write headers.request.add", "appendRequestHeaders": "write headers.request.add",
        "appendResponseHeaders": "write headers.response.add", "removeRequestHeaders": "write headers.request.remove",
        "removeResponseHeaders": "write headers.response.remove",
    ]

    /// Fields that say where a message ends or how a connection is used (RFC 9110 section 7.6.1, RFC 9112 section 6).
    /// An edit of them would let a message be read in two ways.
    private static let framing = [
        "connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding",
    ]

    static func decode(_ field: Field) -> HeaderOperations {
        guard let object = field.object(fields) else { return HeaderOperations() }
        return HeaderOperations(
            request: object["request"].map { decode(edits: $0, ofRequest: true) } ?? .init(),
            response: object["response"].map { decode(edits: $0, ofRequest: false) } ?? .init())
    }

    private static func decode(edits field: Field, ofRequest: Bool) -> HeaderOperations.Edits {
        guard let object = field.object(editFields) else { return .init() }
        var edits = HeaderOperations.Edits()
        for entry in object["set"]?.map() ?? [] {
            if let edit = decode(entry.key, entry.keyPosition, entry.value, hostAllowed: ofRequest) {
                edits.set.append(edit)
            }
        }
        for entry in object["add"]?.map() ?? [] {
            if let edit = decode(entry.key, entry.keyPosition, entry.value, hostAllowed: false) {
                edits.add.append(edit)
            }
        }
        for item in object["remove"]?.list() ?? [] {
            guard let text = item.string() else { continue }
            let name = text.lowercased()
            if name.hasPrefix(":") || name == "host" {
                item.warning(.ignored, "\(item.found) cannot be removed from a message and stays")
            } else if let name = check(name: text, item, at: item.node.position) {
                edits.remove.append(name)
            }
        }
        return edits
    }

    private static func decode(
        _ key: String, _ position: ConfigNode.Position, _ value: Field, hostAllowed: Bool
    ) -> HeaderOperations.Field? {
        var name = key.lowercased()
        // `:authority` is HTTP/2's name of what HTTP/1.1 calls Host.
        if name == ":authority" { name = "host" }
        if name == "host", !hostAllowed {
            value.context.error(
                .badValue, at: position, field: value.path.text, "Host can only be set, and only on a request",
                hint: "write headers.request.set, or rewrite.authority")
            return nil
        }
        guard let checked = check(name: name, value, at: position), let text = value.string() else { return nil }
        guard NameSyntax.isFieldValue(text) else {
            value.error(.badValue, "found \(value.found), which holds a control character; a header's value cannot")
            return nil
        }
        if let command = command(in: text) {
            value.error(
                .unimplemented,
                "found the command \(quoted(command)); values made from the request are not implemented yet")
            return nil
        }
        return HeaderOperations.Field(name: checked, value: text.trimmingBlanks())
    }

    private static func check(name: String, _ field: Field, at position: ConfigNode.Position) -> String? {
        let lower = name.lowercased()
        guard NameSyntax.isToken(lower) else {
            field.context.error(
                .badValue, at: position, field: field.path.text,
                "found \(quoted(name)), which is no header name; expected letters, digits and any of !#$%&'*+-.^_`|~")
            return nil
        }
        if framing.contains(lower) {
            field.context.error(
                .badValue, at: position, field: field.path.text,
                "\(lower) is part of how messages are framed and cannot be edited")
            return nil
        }
        return lower
    }

    /// Envoy's `%COMMAND%` or `%COMMAND(…)%` in a header's value; nil where there is none.
    private static func command(in text: String) -> Substring? {
        var rest = text[...]
        while let start = rest.firstIndex(of: "%") {
            let body = rest[rest.index(after: start)...]
            let name = body.prefix { $0.isASCII && ($0.isUppercase || $0.isNumber || $0 == "_") }
            let after = body[name.endIndex...]
            if name.first?.isUppercase == true, after.hasPrefix("%") || after.hasPrefix("(") {
                return rest[start..<(after.firstIndex(of: "%").map { after.index(after: $0) } ?? after.endIndex)]
            }
            rest = body
        }
        return nil
    }
}

extension String {
    /// Without the spaces and tabs at either end, which are not part of a field's value (RFC 9110 section 5.5).
    func trimmingBlanks() -> String {
        let isBlank = { (character: Character) in character == " " || character == "\t" }
        var text = drop(while: isBlank)
        while let last = text.last, isBlank(last) { text.removeLast() }
        return String(text)
    }
}
