/// Decodes one entry of a VirtualService's `http`.
enum HTTPRouteDecoding {
    private static let fields = FieldSet(
        ["name", "match", "route", "redirect", "directResponse", "delegate", "rewrite", "timeout", "headers"],
        later: ["retries", "fault", "mirror", "mirrors", "mirrorPercentage", "mirrorPercent", "corsPolicy"],
        withdrawn: HeaderDecoding.withdrawn.merging(
            ["websocketUpgrade": "remove it; WebSocket needs no setting"], uniquingKeysWith: { first, _ in first }))
    private static let destinationFields = FieldSet(
        ["destination", "weight", "headers"], withdrawn: HeaderDecoding.withdrawn)
    private static let delegateFields = FieldSet(
        ["name", "namespace"], withdrawn: ["host": "write name, that of a VirtualService, not a host"])
    private static let rewriteFields = FieldSet(["uri", "authority", "uriRegexRewrite"])
    private static let regexRewriteFields = FieldSet(["match", "rewrite"])

    static func decode(_ field: Field) -> HTTPRoute? {
        guard let object = field.object(fields) else { return nil }
        let actions = ["route", "redirect", "directResponse", "delegate"]
        object.exclusive(
            actions,
            hint: object["delegate"] == nil ? nil : "the VirtualService that is delegated to says where it goes")
        object.exclusive(["redirect", "rewrite"], hint: "a redirect has uri and authority of its own")
        object.exclusive(["directResponse", "rewrite"], hint: "nothing is sent on that could be rewritten")
        let name = object["name"]?.string()
        let match = object["match"]?.list()?.compactMap(HTTPMatchDecoding.decode) ?? []
        let headers = object["headers"].map { HeaderDecoding.decode($0) } ?? HeaderOperations()
        let rewrite = object["rewrite"].flatMap { decode(rewrite: $0) }
        let timeout = object["timeout"].flatMap { decode(timeout: $0) }
        guard let action = decodeAction(object) else { return nil }
        return HTTPRoute(
            name: name, match: match, action: action, rewrite: rewrite, headers: headers, timeout: timeout,
            location: field.location)
    }

    private static func decodeAction(_ object: ObjectField) -> HTTPRoute.Action? {
        if let redirect = object["redirect"] { return RedirectDecoding.decode(redirect).map(HTTPRoute.Action.redirect) }
        if let response = object["directResponse"] { return RedirectDecoding.decode(directResponse: response) }
        if let route = object["route"] {
            return DestinationDecoding.decode(route: route, destinationFields).map(HTTPRoute.Action.route)
        }
        if let delegate = object["delegate"] { return decode(delegate: delegate).map(HTTPRoute.Action.delegate) }
        object.field.error(.missing, "the route leads nowhere; expected route, redirect, directResponse or delegate")
        return nil
    }

    private static func decode(delegate field: Field) -> Delegate? {
        if let text = field.node.string {
            field.wrongType("a mapping", hint: "write {name: \(text)}")
            return nil
        }
        guard let object = field.object(delegateFields) else { return nil }
        let namespace = object["namespace"]?.namespaceName()
        guard let item = object.required("name", "the name of a VirtualService without hosts"),
            let name = item.nonEmptyString("the name of a VirtualService")
        else { return nil }
        guard NameSyntax.isSubdomain(name) else {
            var hint: String?
            let parts = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
            if parts.count == 2, parts.allSatisfy({ NameSyntax.isSubdomain($0) }) {
                hint = "write {name: \(parts[1]), namespace: \(parts[0])}"
            }
            item.error(
                .badValue, "found \(item.found); expected lower-case letters, digits, '-' and '.', 253 at most",
                hint: hint)
            return nil
        }
        let own = field.context.namespace ?? field.context.options.namespace
        return Delegate(name: name, namespace: namespace ?? own, location: field.location)
    }

    /// Off where zero, as in Istio; otherwise 1 ms at least.
    private static func decode(timeout field: Field) -> UInt64? {
        guard let value = field.duration(0...31_536_000_000_000_000) else { return nil }
        if value > 0, value < 1_000_000 {
            field.error(.badValue, "found \(field.found); expected 0s (off) or at least 1ms")
        }
        return value
    }

    private static func decode(rewrite field: Field) -> Rewrite? {
        guard let object = field.object(rewriteFields) else { return nil }
        object.exclusive(["uri", "uriRegexRewrite"])
        let rewrite = Rewrite(
            uri: object["uri"]?.uriText(), authority: object["authority"]?.authorityText(),
            uriRegex: object["uriRegexRewrite"].flatMap { decode(regexRewrite: $0) })
        if object["uri"] == nil, object["authority"] == nil, object["uriRegexRewrite"] == nil {
            field.error(.missing, "nothing to rewrite; expected uri, authority, or both")
        }
        return rewrite
    }

    private static func decode(regexRewrite field: Field) -> RegexRewrite? {
        guard let object = field.object(regexRewriteFields),
            let matchField = object.required("match", "a regular expression"),
            let rewriteField = object.required("rewrite", "what stands for each match"),
            let match = matchField.nonEmptyString("a regular expression"), let rewrite = rewriteField.uriText()
        else { return nil }
        guard match.utf8.count <= HTTPMatchDecoding.longestRegex, rewrite.utf8.count <= HTTPMatchDecoding.longestRegex
        else {
            field.error(.tooLarge, "found more than \(HTTPMatchDecoding.longestRegex) bytes in match or rewrite")
            return nil
        }
        HTTPMatchDecoding.check(match, matchField)
        if field.context.options.checkRegex?(match, nil) == nil,
            let problem = field.context.options.checkRegex?(match, rewrite)
        {
            rewriteField.error(
                .badValue, "found \(rewriteField.found), which cannot stand for a match: \(problem)",
                hint: "write \\1 for what the first group caught, \\\\ for a backslash")
        }
        return RegexRewrite(match: match, rewrite: rewrite)
    }
}

extension Field {
    /// A path, or its beginning, as it goes onto the wire: visible ASCII (RFC 3986 section 2).
    func uriText() -> String? {
        guard let text = nonEmptyString("a path") else { return nil }
        guard text.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "#") }) else {
            error(
                .badValue, "found \(found); expected a path of visible ASCII characters without a fragment",
                hint: "percent-encode the others")
            return nil
        }
        return text
    }

    /// Host and, where there is one, port (RFC 3986 section 3.2, without user information).
    func authorityText() -> String? {
        guard let text = nonEmptyString("a host") else { return nil }
        guard text.utf8.count <= 255, text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }),
            !text.contains(where: { "/?#@\\".contains($0) })
        else {
            error(.badValue, "found \(found); expected a host such as reviews.example.com, with a port if need be")
            return nil
        }
        return text
    }
}
