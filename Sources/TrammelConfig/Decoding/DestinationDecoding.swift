/// Decodes the `route` of a VirtualService's `http`, `tls` or `tcp`: destinations and their weights.
enum DestinationDecoding {
    private static let hostFields = FieldSet(["host", "subset", "port"], withdrawn: ["name": "write host"])
    private static let portFields = FieldSet(["number"], withdrawn: ["name": "write the port's number"])

    /// - Parameter fields: of one entry: `destination`, `weight`, and `headers` where requests are read.
    static func decode(route field: Field, _ fields: FieldSet) -> [WeightedDestination]? {
        guard let items = field.list() else { return nil }
        guard !items.isEmpty else {
            field.error(.badValue, "found an empty list; expected at least one destination")
            return nil
        }
        var destinations: [WeightedDestination] = []
        var sum = 0
        for item in items {
            guard let object = item.object(fields) else { continue }
            let weight = object["weight"].map { $0.integer(0...Int(Int32.max), "a weight") ?? 1 }
            if weight == nil, items.count > 1 {
                item.warning(
                    .missing, "no weight beside other destinations: it gets no traffic", hint: "write a weight for each"
                )
            }
            sum += weight ?? 0
            let headers =
                fields.known.contains("headers")
                ? object["headers"].map { HeaderDecoding.decode($0) } ?? HeaderOperations() : HeaderOperations()
            guard let destination = object.required("destination", "the destination, as {host: reviews}"),
                let decoded = decode(destination)
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

    static func decode(_ field: Field) -> Destination? {
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
