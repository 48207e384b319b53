/// References from one resource to another. What does not exist (yet) is a warning: the route answers 503 until it
/// does, and only that route.
enum ReferenceCheck {
    static func check(_ resource: Resource, _ spec: VirtualServiceSpec, _ index: SetIndex) -> [ConfigError] {
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
            issues += dangling(host, field: "spec.hosts[\(number)]", at: resource.location, resource, index)
        }
        for (number, route) in spec.http.enumerated() {
            guard case .route(let destinations) = route.action else { continue }
            for (item, weighted) in destinations.enumerated() {
                let field = "spec.http[\(number)].route[\(item)].destination"
                issues += check(weighted.destination, field: field, resource, index)
            }
        }
        return issues
    }

    static func check(_ resource: Resource, _ spec: DestinationRuleSpec, _ index: SetIndex) -> [ConfigError] {
        dangling(spec.host, field: "spec.host", at: resource.location, resource, index)
    }

    private static func check(
        _ destination: Destination, field: String, _ resource: Resource, _ index: SetIndex
    ) -> [ConfigError] {
        let missing = dangling(
            destination.host, field: "\(field).host", at: destination.location, resource, index, always: true)
        let host = index.resolve(destination.host, from: resource)
        guard missing.isEmpty, let service = index.services[host] else { return missing }
        var issues: [ConfigError] = []
        let subsets = index.subsets(of: host)
        if let subset = destination.subset, !subsets.contains(subset) {
            let hint =
                subsets.isEmpty
                ? "no DestinationRule for \(host) declares subsets"
                : NearestName.hint(for: subset, among: subsets) ?? "it has \(subsets.joined(separator: ", "))"
            issues.append(
                resource.issue(
                    .dangling, severity: .warning, field: "\(field).subset", at: destination.location,
                    "the subset \(quoted(subset)) of \(host) does not exist; requests get 503 until it does", hint: hint
                ))
        }
        if let port = destination.port, !service.ports.contains(where: { $0.port == port }) {
            let ports = service.ports.map { String($0.port) }.joined(separator: ", ")
            issues.append(
                resource.issue(
                    .dangling, severity: .warning, field: "\(field).port", at: destination.location,
                    "\(host) has no port \(port); requests get 503 until it does", hint: "it has \(ports)"))
        }
        return issues
    }

    /// - Parameter always: also for hosts outside the cluster's domain, which a route could not reach.
    private static func dangling(
        _ written: String, field: String, at location: SourceLocation, _ resource: Resource, _ index: SetIndex,
        always: Bool = false
    ) -> [ConfigError] {
        let host = index.resolve(written, from: resource)
        if host.isWildcard || index.services[host] != nil { return [] }
        let near = index.nearest(to: host, written: written, namespace: resource.key.namespace)
        // A host of the outside world may head a VirtualService or DestinationRule without being declared.
        guard always || host.service != nil || near != nil else { return [] }
        let effect = always ? "; requests get 503 until it does" : ""
        let name = written == host.name ? "" : " (\(host))"
        return [
            resource.issue(
                .dangling, severity: .warning, field: field, at: location,
                "the host \(quoted(written))\(name) does not exist\(effect)",
                hint: near.map { "did you mean \(quoted($0))?" })
        ]
    }
}
