import TrammelCore

/// Decodes one entry of a VirtualService's `tls` or `tcp` (`TLSRoute` and `TCPRoute` of virtual_service.proto).
enum StreamRouteDecoding {
    enum Section: String { case tls, tcp }

    private static let http: [String] = [
        "corsPolicy", "delegate", "directResponse", "fault", "headers", "mirror", "mirrors", "redirect", "retries",
        "rewrite", "timeout",
    ]
    private static let fields = FieldSet(
        ["match", "route"],
        withdrawn: Dictionary(
            uniqueKeysWithValues: http.map { ($0, "it needs requests to be read; it belongs to an entry of http") }))
    private static let destinationFields = FieldSet(
        ["destination", "weight"], withdrawn: ["headers": "connections have none; it belongs to a route of http"])
    private static let httpMatches: [String: String] = Dictionary(
        uniqueKeysWithValues: ["authority", "headers", "method", "queryParams", "scheme", "uri", "withoutHeaders"].map {
            ($0, "it needs requests to be read; it belongs to a match of http")
        })
    private static let tcpMatch = ["destinationSubnets", "port", "sourceLabels", "sourceNamespace", "gateways"]
    private static let tcpFields = FieldSet(
        tcpMatch, later: ["sourceSubnet"],
        withdrawn: httpMatches.merging(["sniHosts": "it belongs to a match of tls"], uniquingKeysWith: { $1 }))
    private static let tlsFields = FieldSet(
        ["sniHosts"] + tcpMatch, later: ["sourceSubnet"], withdrawn: httpMatches)

    static func decode(_ field: Field, _ section: Section, hosts: [String]) -> StreamRoute? {
        guard let object = field.object(fields) else { return nil }
        let errors = field.context.errors.count
        var match: [StreamMatch] = []
        if section == .tls {
            let list = object.required("match", "the names (sniHosts) that the route is for")
            let items = list?.list() ?? []
            if let list, items.isEmpty, case .sequence = list.node.value {
                list.error(.badValue, "found an empty list; expected at least one match with sniHosts")
            }
            match = items.compactMap { decode(match: $0, section, hosts: hosts) }
        } else {
            match = object["match"]?.list()?.compactMap { decode(match: $0, section, hosts: hosts) } ?? []
        }
        guard let route = object.required("route", "a list of destinations"),
            let destinations = DestinationDecoding.decode(route: route, destinationFields)
        else { return nil }
        // A condition that is wrong is not one that holds always.
        guard field.context.errors.count == errors else { return nil }
        return StreamRoute(match: match, destinations: destinations, location: field.location)
    }

    private static func decode(match field: Field, _ section: Section, hosts: [String]) -> StreamMatch? {
        guard let object = field.object(section == .tls ? tlsFields : tcpFields) else { return nil }
        var match = StreamMatch(location: field.location)
        if section == .tls { match.sniHosts = decodeNames(object, hosts: hosts) }
        for item in object["destinationSubnets"]?.list() ?? [] {
            guard let text = item.string() else { continue }
            guard let block = CIDR(text) else {
                item.error(.badValue, "found \(item.found); expected an address or a block such as 10.1.0.0/16")
                continue
            }
            match.destinationSubnets.append(block)
        }
        match.port = object["port"]?.port()
        match.sourceLabels = object["sourceLabels"].map(MetadataDecoding.decodeLabels) ?? [:]
        match.sourceNamespace = object["sourceNamespace"]?.namespaceName()
        match.gateways = VirtualServiceDecoding.decodeGateways(object["gateways"])
        return match
    }

    private static func decodeNames(_ object: ObjectField, hosts: [String]) -> [String] {
        guard let list = object.required("sniHosts", "the names that clients ask for") else { return [] }
        let items = list.list() ?? []
        if items.isEmpty, case .sequence = list.node.value {
            list.error(.badValue, "found an empty list; expected at least one name")
        }
        var names: [String] = []
        for item in items {
            guard let text = item.string() else { continue }
            if IPAddress(text) != nil {
                item.warning(
                    .ignored,
                    "found the address \(text): clients send no addresses as server names (RFC 6066 section 3)",
                    hint: "match by destinationSubnets")
            } else if let problem = NameSyntax.problem(ofHost: text, wildcard: true) {
                item.error(.badValue, "found \(item.found), which \(problem); expected a name such as db.example.com")
                continue
            }
            let name = text.lowercased()
            if !hosts.isEmpty, !hosts.contains(where: { covers($0, name, item.context) }) {
                item.error(
                    .conflict,
                    "found \(item.found), which none of the VirtualService's hosts covers (\(hosts.joined(separator: ", ")))",
                    hint: "add it to hosts")
            }
            names.append(name)
        }
        return names
    }

    /// Clients may ask for any of the names under which a service of the mesh is known.
    private static func covers(_ host: String, _ name: String, _ context: DecodingContext) -> Bool {
        let own = context.namespace ?? context.options.namespace
        let full = ServiceHost(host, inNamespace: own)
        if full.covers(ServiceHost(name, inNamespace: own)) { return true }
        return full == ServiceHost("\(name).svc", inNamespace: own)
    }
}

extension Field {
    func namespaceName() -> String? {
        guard let text = nonEmptyString("a namespace") else { return nil }
        guard NameSyntax.isLabel(text) else {
            error(.badValue, "found \(found); expected lower-case letters, digits and '-', 63 at most")
            return nil
        }
        return text
    }
}
