import TrammelConfig
import TrammelCore

/// Turns a VirtualService's routes into a `RouteTable`.
struct RouteCompiler {
    let services: ServiceDirectory

    func compile(
        _ reference: ResourceReference, _ spec: VirtualServiceSpec, warnings: inout [CompileWarning]
    ) -> RouteTable {
        var layout = RouteLayout()
        var routes: [CompiledRoute] = []
        var found: [CompileWarning] = []
        for (index, route) in spec.http.enumerated() {
            layout.append(route.match) { found.append(CompileWarning(.withoutEffect, reference.key, $0, $1)) }
            routes.append(compile(route, at: index, of: reference.key, warnings: &found))
        }
        let streams = StreamTable(
            tls: compile(spec.tls, "tls", reference.key, warnings: &found),
            tcp: compile(spec.tcp, "tcp", reference.key, warnings: &found))
        warnings += found
        return RouteTable(origin: reference, routes: routes, layout: layout, streams: streams)
    }

    private func compile(
        _ routes: [StreamRoute], _ list: String, _ key: ResourceKey, warnings: inout [CompileWarning]
    ) -> [CompiledStreamRoute] {
        routes.enumerated().map { index, route in
            CompiledStreamRoute(
                name: "\(list) #\(index + 1)", origin: ResourceReference(key: key, location: route.location),
                match: route.match,
                split: WeightedSplit(
                    route.destinations.map { weighted in
                        let reference = ResourceReference(key: key, location: weighted.destination.location)
                        let (targets, problem) = targets(of: weighted.destination, reference, warnings: &warnings)
                        return CompiledDestination(
                            written: weighted.destination, weight: weighted.weight, authority: [], requestEdits: nil,
                            responseEdits: nil, targets: targets, problem: problem)
                    }))
        }
    }

    private func compile(
        _ route: HTTPRoute, at index: Int, of key: ResourceKey, warnings: inout [CompileWarning]
    ) -> CompiledRoute {
        let edits = SafeEdits(route.headers, key, route.location, &warnings)
        let action: CompiledRoute.Action
        switch route.action {
        case .route(let destinations):
            action = .route(
                WeightedSplit(
                    destinations.map { destination in
                        compile(
                            destination, isAlone: destinations.count == 1, of: route, edits, key,
                            warnings: &warnings)
                    }))
        case .redirect(let redirect):
            action = .respond(LocalResponse(status: redirect.code, body: [], redirect: CompiledRedirect(redirect)))
        case .directResponse(let status, let body):
            action = .respond(LocalResponse(status: status, body: body))
        case .delegate:
            // Taken apart before; one that leads nowhere has no destination.
            action = .route(WeightedSplit([]))
        }
        return CompiledRoute(
            name: route.name ?? "#\(index + 1)",
            origin: ResourceReference(key: key, location: route.location), timeout: route.timeout ?? 0,
            action: action, rewrittenURI: Array((route.rewrite?.uri ?? "").utf8),
            uriRegex: route.rewrite?.uriRegex.flatMap { regex(of: $0, at: route.location, key, &warnings) },
            responseEdits: HeaderEdits([edits.response]))
    }

    /// Decoding has refused an expression that is none; should one come by another way, it replaces nothing.
    private func regex(
        of rewrite: RegexRewrite, at location: SourceLocation, _ key: ResourceKey, _ warnings: inout [CompileWarning]
    ) -> (expression: RegularExpression, substitution: [UInt8])? {
        do throws(RegularExpression.PatternError) {
            return (try RegularExpression(rewrite.match), Array(rewrite.rewrite.utf8))
        } catch {
            warnings.append(
                CompileWarning(
                    .withoutEffect, key, location,
                    "the expression \"\(rewrite.match)\" replaces nothing: \(error.reason)"))
            return nil
        }
    }

    /// Whose word holds where a route and its destination both edit headers is Istio's to say: a lone destination's
    /// edits come after its route's, those of one among several before, as Envoy goes from the specific to the general;
    /// the authority is the route's in any case (istio/istio pilot/pkg/networking/core/route/route.go,
    /// `processDestination` and `processWeightedDestination`).
    private func compile(
        _ weighted: WeightedDestination, isAlone: Bool, of route: HTTPRoute, _ outer: SafeEdits, _ key: ResourceKey,
        warnings: inout [CompileWarning]
    ) -> CompiledDestination {
        let written = weighted.destination
        let reference = ResourceReference(key: key, location: written.location)
        let inner = SafeEdits(weighted.headers, key, written.location, &warnings)
        let (targets, problem) = targets(of: written, reference, warnings: &warnings)
        let authority = route.rewrite?.authority ?? outer.authority ?? inner.authority ?? ""
        return CompiledDestination(
            written: written, weight: weighted.weight, authority: Array(authority.utf8),
            requestEdits: HeaderEdits(levels(inner.request, outer.request, isAlone: isAlone)),
            responseEdits: HeaderEdits(levels(inner.response, outer.response, isAlone: isAlone)), targets: targets,
            problem: problem)
    }

    private func levels(
        _ inner: HeaderOperations.Edits, _ outer: HeaderOperations.Edits, isAlone: Bool
    ) -> [HeaderOperations.Edits] {
        guard isAlone else { return [inner, outer] }
        // One list to Envoy, in which all that is removed goes first.
        return [
            HeaderOperations.Edits(set: outer.set, add: outer.add, remove: outer.remove + inner.remove),
            HeaderOperations.Edits(set: inner.set, add: inner.add),
        ]
    }

    private func targets(
        of destination: Destination, _ reference: ResourceReference, warnings: inout [CompileWarning]
    ) -> (targets: [(port: UInt16, cluster: Cluster)], problem: String?) {
        typealias Result = (targets: [(port: UInt16, cluster: Cluster)], problem: String?)
        func dangling(_ warning: CompileWarning) -> Result {
            warnings.append(warning)
            return ([], warning.message)
        }
        let namespace = reference.key.namespace
        guard let service = services[HostName.key(of: destination.host, namespace: namespace)] else {
            return dangling(RouteCompiler.noSuchHost(destination.host, reference, services))
        }
        var ports = service.ports
        if let number = destination.port {
            guard let port = service.port(number) else {
                let declared = service.ports.map { String($0.spec.port) }.joined(separator: ", ")
                return dangling(
                    CompileWarning(
                        .danglingReference, reference.key, reference.location,
                        "\(service.identity.host) has no TCP port \(number); it has "
                            + (declared.isEmpty ? "none. " : "\(declared). ") + RouteCompiler.consequence))
            }
            ports = [port]
        }
        var clusters: [(port: UInt16, cluster: Cluster)] = []
        for port in ports {
            guard let subset = destination.subset else {
                clusters.append((port.spec.port, port.cluster))
                continue
            }
            guard let cluster = port.subset(subset) else {
                return dangling(noSuchSubset(subset, of: service, reference))
            }
            clusters.append((port.spec.port, cluster))
        }
        if clusters.count == 1 { clusters[0].port = 0 }
        return (clusters, nil)
    }

    private static let consequence = "The route answers 503 (NC) until it exists"

    /// A host that is no service, named by a route or a DestinationRule.
    static func noSuchHost(
        _ host: String, _ reference: ResourceReference, _ services: ServiceDirectory
    ) -> CompileWarning {
        let namespace = reference.key.namespace
        let hint = services.hint(for: host, from: namespace)
        let consequence =
            reference.key.kind == .destinationRule ? "It applies to nothing until it exists" : RouteCompiler.consequence
        return CompileWarning(
            .danglingReference, reference.key, reference.location,
            "host \"\(host)\" is no service in namespace \(namespace)\(hint). \(consequence)")
    }

    private func noSuchSubset(
        _ subset: String, of service: CompiledService, _ reference: ResourceReference
    ) -> CompileWarning {
        let known = service.subsetNames.map { "\"\($0)\"" }.joined(separator: ", ")
        return CompileWarning(
            .danglingReference, reference.key, reference.location,
            "\(service.identity.host) has no subset \"\(subset)\""
                + NearestName.hint(for: subset, among: service.subsetNames)
                + "; it has \(known.isEmpty ? "none" : known). "
                + RouteCompiler.consequence)
    }
}

extension CompiledRedirect {
    fileprivate convenience init(_ redirect: Redirect) {
        let port: Port =
            switch redirect.port {
            case nil: .unsaid
            case .number(let number): .number(number)
            case .fromProtocolDefault: .fromProtocolDefault
            case .fromRequestPort: .fromRequestPort
            }
        let scheme: RequestView.Scheme? =
            switch redirect.scheme?.lowercased() {
            case "http": .http
            case "https": .https
            default: nil
            }
        self.init(
            uri: Array((redirect.uri ?? "").utf8), authority: Array((redirect.authority ?? "").utf8), scheme: scheme,
            port: port)
    }
}
