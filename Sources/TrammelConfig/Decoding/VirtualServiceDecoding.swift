/// Decodes Istio's `VirtualService` (networking/v1alpha3/virtual_service.proto).
enum VirtualServiceDecoding {
    private static let fields = FieldSet(["hosts", "gateways", "http", "tls", "tcp", "exportTo"])

    static func decode(_ spec: Field) -> VirtualServiceSpec? {
        guard let object = spec.object(fields) else { return nil }
        let exportTo = ExportToDecoding.decode(object["exportTo"])
        let gateways = decodeGateways(object["gateways"])
        let hosts = decodeHosts(object["hosts"])
        if hosts == nil { checkDelegated(object) }
        let sections = ["http", "tls", "tcp"]
        if sections.allSatisfy({ object[$0] == nil }) {
            // An empty `http:` is pointed at where it stands.
            let empty = object.entries.first { sections.contains($0.key) }?.key ?? "http"
            _ = object.required(empty, "a list of routes, as http, tls or tcp")
        }
        let http = decode(object["http"], decode: HTTPRouteDecoding.decode, isLast: \.matchesEverything) {
            $0.location
        }
        let tls = decode(
            object["tls"], decode: { StreamRouteDecoding.decode($0, .tls, hosts: hosts ?? []) }, isLast: { _ in false }
        ) { $0.location }
        let tcp = decode(
            object["tcp"], decode: { StreamRouteDecoding.decode($0, .tcp, hosts: hosts ?? []) },
            isLast: \.matchesEverything
        ) { $0.location }
        return VirtualServiceSpec(
            hosts: hosts ?? [], gateways: gateways, http: http, tls: tls, tcp: tcp, exportTo: exportTo)
    }

    private static func decode<Route>(
        _ field: Field?, decode: (Field) -> Route?, isLast: (Route) -> Bool, location: (Route) -> SourceLocation
    ) -> [Route] {
        guard let field, let items = field.list() else { return [] }
        if items.isEmpty { field.error(.badValue, "found an empty list; expected at least one route") }
        let errors = field.context.errors.count
        let routes = items.compactMap(decode)
        // A condition that is wrong is not one that holds always.
        if field.context.errors.count == errors, let first = routes.firstIndex(where: isLast), first + 1 < routes.count
        {
            let what = Route.self == HTTPRoute.self ? "request" : "connection"
            items[first + 1].warning(
                .ignored, "never reached: the route on line \(location(routes[first]).line) matches every \(what)",
                hint: "put the route without conditions last")
        }
        return routes
    }

    /// Nil where there are none: others delegate to it then.
    private static func decodeHosts(_ list: Field?) -> [String]? {
        guard let list, let fields = list.list() else { return nil }
        if fields.isEmpty { return nil }
        var hosts: [String] = []
        for field in fields {
            guard let host = field.host(wildcard: true) else { continue }
            if hosts.contains(host) { field.error(.duplicate, "found the host \(quoted(host)) twice") }
            hosts.append(host)
        }
        return hosts
    }

    /// One without hosts holds routes for others to delegate to, and nothing else.
    private static func checkDelegated(_ object: ObjectField) {
        // What is written as `host` has been told already.
        if object.entries.contains(where: { !fields.known.contains($0.key) }) { return }
        // A wrong type has been told too.
        if let hosts = object["hosts"], hosts.node.value.isSequence == false { return }
        for name in ["gateways", "tls", "tcp"] where object[name] != nil {
            let there = object.entries.first { $0.key == "hosts" }?.keyPosition ?? object.field.node.position
            object.field.context.error(
                .missing, at: there, field: "spec.hosts",
                "missing; expected the hosts that the routes are for",
                hint: "only one of nothing but http can do without, for others to delegate to; this one has \(name)")
            return
        }
        for item in object["http"]?.child(listOf: "delegate") ?? [] {
            item.error(
                .conflict,
                "found a delegate in a VirtualService without hosts, to which others delegate; one level is all",
                hint: "name the hosts the routes are for, or write route for delegate")
        }
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

extension Field {
    /// The fields of that name in the items of a list, without any check.
    fileprivate func child(listOf name: String) -> [Field] {
        guard case .sequence(let items) = node.value else { return [] }
        return items.enumerated().compactMap {
            Field(node: $1, path: .index(path, $0), context: context).child(name)
        }
    }
}

extension ConfigNode.Value {
    fileprivate var isSequence: Bool {
        if case .sequence = self { return true }
        return false
    }
}
