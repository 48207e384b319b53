/// Decodes one entry of a route's `match`, and the `StringMatch`es in it.
enum HTTPMatchDecoding {
    private static let fields = FieldSet(
        [
            "name", "uri", "ignoreUriCase", "scheme", "method", "authority", "headers", "withoutHeaders",
            "queryParams", "port", "sourceLabels", "sourceNamespace", "gateways",
        ], later: ["statPrefix"])
    private static let stringFields = FieldSet(["exact", "prefix", "regex"])
    /// Istio's bound.
    static let longestRegex = 1024

    static func decode(_ field: Field) -> HTTPMatch? {
        guard let object = field.object(fields) else { return nil }
        var match = HTTPMatch(location: field.location)
        match.name = object["name"]?.string()
        match.uri = object["uri"].flatMap { decode($0) }
        match.ignoreURICase = object["ignoreUriCase"]?.bool() ?? false
        match.scheme = object["scheme"].flatMap { decode($0, star: true) }
        match.method = object["method"].flatMap { decode($0, star: true) }
        match.authority = object["authority"].flatMap { decode($0, star: true) }
        match.headers = decode(headers: object["headers"])
        match.withoutHeaders = decode(headers: object["withoutHeaders"])
        for entry in object["queryParams"]?.map() ?? [] {
            if entry.key.isEmpty {
                field.context.error(
                    .badValue, at: entry.keyPosition, field: entry.value.path.text, "found an empty parameter name")
            }
            if let condition = decode(entry.value, presence: true, star: true) {
                match.queryParams.append((entry.key, condition))
            }
        }
        match.port = object["port"]?.port()
        match.sourceLabels = object["sourceLabels"].map(MetadataDecoding.decodeLabels) ?? [:]
        match.sourceNamespace = object["sourceNamespace"]?.namespaceName()
        match.gateways = VirtualServiceDecoding.decodeGateways(object["gateways"])
        return match
    }

    private static func decode(headers field: Field?) -> [(name: String, match: StringMatch)] {
        var result: [(name: String, match: StringMatch)] = []
        for entry in field?.map() ?? [] {
            let name = entry.key.lowercased()
            let place = entry.value.path.text
            if name.hasPrefix("@request.auth.claims") {
                entry.value.context.error(
                    .unimplemented, at: entry.keyPosition, field: place,
                    "routing by a token's claims is not implemented yet")
                continue
            }
            if ["uri", "scheme", "method", "authority"].contains(name) {
                entry.value.context.warning(
                    .ignored, at: entry.keyPosition, field: place, "ignored, as Istio does",
                    hint: "write \(name) beside headers, not in it")
                continue
            }
            guard NameSyntax.isToken(name) else {
                let pseudo = [":method": "method", ":path": "uri", ":authority": "authority", ":scheme": "scheme"]
                entry.value.context.error(
                    .badValue, at: entry.keyPosition, field: place,
                    "found \(quoted(entry.key)), which is no header name; expected letters, digits and any of !#$%&'*+-.^_`|~",
                    hint: pseudo[name].map { "write \($0) beside headers" })
                continue
            }
            if result.contains(where: { $0.name == name }) {
                entry.value.context.error(
                    .duplicate, at: entry.keyPosition, field: place,
                    "found the header \(name) twice; the case of letters does not tell them apart")
                continue
            }
            // An empty value (`x-debug:`) means the same as `{}`.
            let condition = entry.value.node.isNull ? .presence : decode(entry.value, presence: true, star: true)
            if let condition { result.append((name, condition)) }
        }
        return result
    }

    /// - Parameters:
    ///   - presence: `{}` asks for nothing but presence.
    ///   - star: the regex `*` means presence too (istio/istio `canBeConvertedToPresentMatch` in
    ///     pilot/pkg/networking/core/route/route.go: everywhere but in `uri`).
    private static func decode(_ field: Field, presence: Bool = false, star: Bool = false) -> StringMatch? {
        if case .scalar(let scalar) = field.node.value {
            field.wrongType("a mapping", hint: "write {exact: \(quoted(scalar.text))}, or prefix or regex for exact")
            return nil
        }
        guard let object = field.object(stringFields) else { return nil }
        object.exclusive(["exact", "prefix", "regex"])
        if let text = object["exact"] { return text.string().map(StringMatch.exact) }
        if let text = object["prefix"] { return text.string().map(StringMatch.prefix) }
        if let item = object["regex"], let pattern = item.nonEmptyString("a regular expression") {
            if star, pattern == "*" { return .presence }
            check(pattern, item)
            return .regex(pattern)
        }
        if object["regex"] == nil, object.entries.isEmpty {
            if presence { return .presence }
            field.error(.missing, "nothing to compare with; expected exact, prefix or regex")
        }
        return nil
    }

    static func check(_ pattern: String, _ field: Field) {
        if pattern.utf8.count > longestRegex {
            field.error(
                .tooLarge, "found a regular expression of \(pattern.utf8.count) bytes; expected \(longestRegex) at most"
            )
        } else if let problem = field.context.options.checkRegex?(pattern, nil) {
            let hint =
                pattern.hasPrefix("*")
                ? "write \(quoted("." + pattern))" : "RE2's syntax is used: no look-around, no back-references"
            field.error(.badValue, "found \(field.found), which is no regular expression: \(problem)", hint: hint)
        }
    }
}
