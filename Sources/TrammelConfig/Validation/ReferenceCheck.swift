/// References from one resource to another. What does not exist (yet) is a warning: the route answers 503 until it
/// does, and only that route.
extension SetCheck {
    /// What becomes of traffic that is led to what does not exist.
    private enum Traffic: String {
        case requests = "requests get 503 until it does"
        case connections = "connections are closed until it does"
    }

    func references(of resource: Resource, _ spec: VirtualServiceSpec) -> [ConfigError] {
        if spec.hosts.isEmpty { return delegated(resource) + routes(of: resource, spec) }
        guard spec.appliesToMesh else {
            return [
                resource.issue(
                    .ignored, severity: .warning, field: "spec.gateways",
                    "bound to gateways only (\(spec.gateways.joined(separator: ", "))), so it does not apply to mesh traffic",
                    hint: "add mesh to gateways, or remove them")
            ]
        }
        var issues: [ConfigError] = []
        for (number, host) in spec.hosts.enumerated() {
            issues += dangling(host, field: "spec.hosts[\(number)]", at: resource.location, resource)
        }
        return issues + routes(of: resource, spec)
    }

    func references(of resource: Resource, _ spec: DestinationRuleSpec) -> [ConfigError] {
        dangling(spec.host, field: "spec.host", at: resource.location, resource)
    }

    private func routes(of resource: Resource, _ spec: VirtualServiceSpec) -> [ConfigError] {
        var issues: [ConfigError] = []
        for (number, route) in spec.http.enumerated() {
            switch route.action {
            case .route(let destinations):
                issues += check(destinations, in: "spec.http[\(number)]", .requests, resource)
            case .delegate(let delegate):
                issues += check(delegate, field: "spec.http[\(number)].delegate", resource)
            case .redirect, .directResponse: break
            }
        }
        for (number, route) in spec.tls.enumerated() {
            issues += check(route.destinations, in: "spec.tls[\(number)]", .connections, resource)
        }
        for (number, route) in spec.tcp.enumerated() {
            issues += check(route.destinations, in: "spec.tcp[\(number)]", .connections, resource)
        }
        return issues + contradictions(of: resource, spec)
    }

    // MARK: Hosts

    private func check(
        _ destinations: [WeightedDestination], in route: String, _ traffic: Traffic, _ resource: Resource
    ) -> [ConfigError] {
        destinations.enumerated().flatMap { item, weighted in
            check(weighted.destination, field: "\(route).route[\(item)].destination", traffic, resource)
        }
    }

    private func check(
        _ destination: Destination, field: String, _ traffic: Traffic, _ resource: Resource
    ) -> [ConfigError] {
        let missing = dangling(
            destination.host, field: "\(field).host", at: destination.location, resource, traffic)
        let host = resolve(destination.host, from: resource)
        let namespace = resource.key.namespace
        guard missing.isEmpty, let offer = offer(of: host, seenFrom: namespace) else { return missing }
        var issues: [ConfigError] = []
        func report(_ what: String, _ message: String, hint: String?) {
            issues.append(
                resource.issue(
                    .dangling, severity: .warning, field: "\(field).\(what)", at: destination.location,
                    "\(message); \(traffic.rawValue)", hint: hint))
        }
        if let subset = destination.subset {
            let subsets = subsets(of: host, seenFrom: namespace)
            if !subsets.contains(subset) {
                let hint =
                    subsets.isEmpty
                    ? "no DestinationRule for \(host) declares subsets"
                    : NearestName.hint(for: subset, among: subsets) ?? "it has \(subsets.joined(separator: ", "))"
                report("subset", "the subset \(quoted(subset)) of \(host) does not exist", hint: hint)
            }
        }
        if let port = destination.port, !offer.ports.contains(port) {
            let ports = offer.ports.map(String.init).joined(separator: ", ")
            report("port", "\(host) has no port \(port)", hint: ports.isEmpty ? "it has none" : "it has \(ports)")
        }
        return issues
    }

    /// - Parameter traffic: led to the host; nil for one that heads a VirtualService or DestinationRule, which may be of
    ///   the outside world and not declared.
    private func dangling(
        _ written: String, field: String, at location: SourceLocation, _ resource: Resource, _ traffic: Traffic? = nil
    ) -> [ConfigError] {
        let host = resolve(written, from: resource)
        let namespace = resource.key.namespace
        if host.isWildcard || offer(of: host, seenFrom: namespace) != nil { return [] }
        let effect = traffic.map { "; \($0.rawValue)" } ?? ""
        let name = written == host.name ? "" : " (\(host))"
        if let hidden = offers(of: host).first, let owner = set[hidden.key] {
            let how =
                hidden.key.kind == .service ? "its annotation \(ExportToDecoding.annotation)" : "its spec.exportTo"
            return [
                resource.issue(
                    .dangling, severity: .warning, field: field, at: location,
                    "the host \(quoted(written))\(name) is not exported to the namespace \(quoted(namespace)) by \(owner.key) (\(owner.location))\(effect)",
                    hint: "add \(quoted(namespace)) to \(how)")
            ]
        }
        let near = nearest(to: host, written: written, namespace: namespace)
        guard traffic != nil || host.service != nil || near != nil else { return [] }
        return [
            resource.issue(
                .dangling, severity: .warning, field: field, at: location,
                "the host \(quoted(written))\(name) does not exist\(effect)",
                hint: near.map { "did you mean \(quoted($0))?" })
        ]
    }

    // MARK: Delegates

    private func lookup(_ namespace: String, _ name: String) -> VirtualServiceSpec? {
        let key = ResourceKey(kind: .virtualService, namespace: namespace, name: name)
        guard case .virtualService(let spec) = set[key]?.spec else { return nil }
        return spec
    }

    private func check(_ delegate: Delegate, field: String, _ resource: Resource) -> [ConfigError] {
        guard case .failure(let failure) = Delegation.resolve(delegate, from: resource.key.namespace, lookup) else {
            return []
        }
        let key = delegate.key
        let place = set[key].map { "\(key) (\($0.location))" } ?? key.description
        let message: String
        var hint: String?
        switch failure {
        case .missing:
            message = "\(place) does not exist"
            let all = set.namesOfDelegates
            let near = nearest(to: key.name, among: all.filter { $0.namespace == key.namespace }.map(\.name))
            let elsewhere = all.first { $0.name == key.name }
            if let near {
                hint = "did you mean \(quoted(near))?"
            } else if let elsewhere {
                hint = "did you mean the one of the namespace \(quoted(elsewhere.namespace))?"
            }
        case .hasHosts:
            message = "\(place) has hosts of its own, so that nothing can be delegated to it"
            hint = "remove its hosts"
        case .notExported:
            message = "\(place) is not exported to the namespace \(quoted(resource.key.namespace))"
            hint = "add \(quoted(resource.key.namespace)) to its spec.exportTo"
        }
        return [
            resource.issue(
                .dangling, severity: .warning, field: field, at: delegate.location,
                "\(message); \(Traffic.requests.rawValue)", hint: hint)
        ]
    }

    /// Of a VirtualService without hosts.
    private func delegated(_ resource: Resource) -> [ConfigError] {
        guard index.delegating[resource.key] == nil else { return [] }
        return [
            resource.issue(
                .ignored, severity: .warning, field: "spec.hosts",
                "no hosts, and no VirtualService delegates to it, so it has no effect",
                hint: "name the hosts that its routes are for")
        ]
    }

    private func contradictions(of resource: Resource, _ spec: VirtualServiceSpec) -> [ConfigError] {
        Delegation.contradictions(in: spec, of: resource.key.namespace, lookup: lookup).map { found in
            resource.issue(
                .ignored, severity: .warning, field: "spec.http", at: found.root,
                "the delegate's route at \(found.route) is never taken: its match is not within the one here",
                hint: "let its conditions be as narrow as those of the delegating route")
        }
    }
}

extension ResourceSet {
    /// In a stable order.
    fileprivate var namesOfDelegates: [ResourceKey] {
        entries.values.compactMap { entry -> ResourceKey? in
            guard case .virtualService(let spec) = entry.resource.spec, spec.hosts.isEmpty else { return nil }
            return entry.resource.key
        }.sorted()
    }
}
