/// Decodes one entry of a VirtualService's `http`.
enum HTTPRouteDecoding {
    private static let fields = FieldSet(
        ["name", "match", "route", "redirect", "directResponse", "rewrite", "timeout", "headers"],
        later: [
            "delegate", "retries", "fault", "mirror", "mirrors", "mirrorPercentage", "mirrorPercent", "corsPolicy",
        ],
        withdrawn: HeaderDecoding.withdrawn.merging(
            ["websocketUpgrade": "remove it; WebSocket needs no setting"], uniquingKeysWith: { first, _ in first }))
    private static let destinationFields = FieldSet(
        ["destination", "weight", "headers"], withdrawn: HeaderDecoding.withdrawn)
    private static let hostFields = FieldSet(["host", "subset", "port"], withdrawn: ["name": "write host"])
    private static let portFields = FieldSet(["number"], withdrawn: ["name": "write the port's number"])
    private static let rewriteFields = FieldSet(["uri", "authority", "uriRegexRewrite"])
    private static let regexRewriteFields = FieldSet(["match", "rewrite"])

    static func decode(_ field: Field) -> HTTPRoute? {
        guard let object = field.object(fields) else { return nil }
        object.exclusive(["route", "redirect", "directResponse"])
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
        if let route = object["route"] { return decode(route: route).map(HTTPRoute.Action.route) }
        // A delegate has been refused by name already.
        if object["delegate"] == nil {
            object.field.error(.missing, "the route leads nowhere; expected route, redirect or directResponse")
        }
        return nil
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

    // MARK: Destinations

    private static func decode(route field: Field) -> [WeightedDestination]? {
        guard let items = field.list() else { return nil }
        guard !items.isEmpty else {
            field.error(.badValue, "found an empty list; expected at least one destination")
            return nil
        }
        var destinations: [WeightedDestination] = []
        var sum = 0
        for item in items {
            guard let object = item.object(destinationFields) else { continue }
            let weight = object["weight"].map { $0.integer(0...Int(Int32.max), "a weight") ?? 1 }
            if weight == nil, items.count > 1 {
                item.warning(
                    .missing, "no weight beside other destinations: it gets no traffic", hint: "write a weight for each"
                )
            }
            sum += weight ?? 0
            let headers = object["headers"].map { HeaderDecoding.decode($0) } ?? HeaderOperations()
            guard let destination = object.required("destination", "the destination, as {host: reviews}"),
                let decoded = decode(destination: destination)
            else { continue }
            // Alone, a destination gets everything, whatever its weight.
            let share = UInt32(weight ?? 0)
            destinations.append(
                WeightedDestination(
                    destination: decoded, weight: items.count == 1 ? max(1, share) : share, headers: headers))
        }
        if items.count > 1, sum == 0 {
            field.error(.badValue, "every weight is 0, so no destination would get traffic; expected a weight above 0")
        }
        if sum > Int(UInt32.max) {
            field.error(.badValue, "the weights add up to \(sum); expected \(UInt32.max) at most")
        }
        return destinations
    }

    static func decode(destination field: Field) -> Destination? {
        guard let object = field.object(hostFields) else { return nil }
        var subset: String?
        if let item = object["subset"], let text = item.nonEmptyString("the name of a subset") {
            subset = text
            if !NameSyntax.isLabel(text) {
                item.error(.badValue, "found \(item.found); expected lower-case letters, digits and '-', 63 at most")
            }
        }
        var port: UInt16?
        if let selector = object["port"] {
            if case .scalar(let scalar) = selector.node.value, scalar.type == .integer {
                selector.wrongType("a mapping", hint: "write {number: \(scalar.text)}")
            } else {
                port = selector.object(portFields)?.required("number", "a port from 1 to 65535")?.port()
            }
        }
        guard let host = object.required("host", "the destination's host")?.host(wildcard: false) else { return nil }
        return Destination(host: host, subset: subset, port: port, location: field.location)
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
