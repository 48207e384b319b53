/// Decodes Istio's `VirtualService` (networking/v1alpha3/virtual_service.proto).
enum VirtualServiceDecoding {
    private static let fields = FieldSet(["hosts", "gateways", "http", "exportTo"], later: ["tls", "tcp"])

    static func decode(_ spec: Field) -> VirtualServiceSpec? {
        guard let object = spec.object(fields) else { return nil }
        ExportToDecoding.check(object["exportTo"])
        let gateways = decodeGateways(object["gateways"])
        let hosts = decodeHosts(object)
        var routes: [HTTPRoute] = []
        // What is not built yet has been refused by name already; nothing else is missing then.
        if object["tls"] == nil, object["tcp"] == nil, let list = object.required("http", "a list of routes") {
            let items = list.list() ?? []
            if items.isEmpty, case .sequence = list.node.value {
                list.error(.badValue, "found an empty list; expected at least one route")
            }
            let errors = list.context.errors.count
            routes = items.compactMap(HTTPRouteDecoding.decode)
            // A condition that is wrong is not one that holds always.
            if list.context.errors.count == errors { warnUnreachable(routes, items) }
        }
        return VirtualServiceSpec(hosts: hosts, gateways: gateways, http: routes)
    }

    private static func decodeHosts(_ object: ObjectField) -> [String] {
        guard let list = object.required("hosts", "the hosts that requests are for") else { return [] }
        let fields = list.list() ?? []
        if fields.isEmpty, case .sequence = list.node.value {
            list.error(.badValue, "found an empty list; expected at least one host")
        }
        var hosts: [String] = []
        for field in fields {
            guard let host = field.host(wildcard: true) else { continue }
            if hosts.contains(host) { field.error(.duplicate, "found the host \(quoted(host)) twice") }
            hosts.append(host)
        }
        return hosts
    }

    /// `mesh`, or the name of a Gateway, with or without its namespace.
    static func decodeGateways(_ field: Field?) -> [String] {
        var gateways: [String] = []
        for item in field?.list() ?? [] {
            guard let text = item.string() else { continue }
            let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.allSatisfy({ NameSyntax.isSubdomain($0) || $0 == "." && parts.count == 2 }) else {
                item.error(.badValue, "found \(item.found); expected mesh, or a Gateway as name or namespace/name")
                continue
            }
            gateways.append(text)
        }
        return gateways
    }

    private static func warnUnreachable(_ routes: [HTTPRoute], _ fields: [Field]) {
        guard let first = routes.firstIndex(where: \.matchesEverything), first + 1 < routes.count else { return }
        fields[first + 1].warning(
            .ignored, "never reached: the route on line \(routes[first].location.line) matches every request",
            hint: "put the route without conditions last")
    }
}

extension HTTPRoute {
    /// Whether no request can fail its match.
    package var matchesEverything: Bool {
        match.isEmpty
            || match.contains { match in
                (match.uri == nil || match.uri == .prefix("/") || match.uri == .prefix("")) && match.scheme == nil
                    && match.method == nil && match.authority == nil && match.headers.isEmpty
                    && match.withoutHeaders.isEmpty && match.queryParams.isEmpty && match.port == nil
                    && match.sourceLabels.isEmpty && match.sourceNamespace == nil && match.gateways.isEmpty
            }
    }
}
