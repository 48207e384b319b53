extension ResourceSet {
    /// What is wrong or doubtful between resources, in a stable order. Errors make a set impossible; warnings do not.
    package func check() -> [ConfigError] {
        let resources = resources
        let index = SetIndex(resources)
        var issues: [ConfigError] = []
        issues += OwnershipCheck.check(resources)
        for resource in resources {
            switch resource.spec {
            case .virtualService(let spec): issues += ReferenceCheck.check(resource, spec, index)
            case .destinationRule(let spec): issues += ReferenceCheck.check(resource, spec, index)
            case .service, .meshConfig: break
            }
        }
        return issues
    }
}

/// The names that resources may refer to.
struct SetIndex {
    private(set) var services: [ServiceHost: ServiceSpec] = [:]
    /// The subsets of each host, over all its DestinationRules, in their order.
    private(set) var subsets: [ServiceHost: [String]] = [:]
    private var names: [String: [String]] = [:]

    init(_ resources: [Resource]) {
        for resource in resources {
            switch resource.spec {
            case .service(let spec):
                services[ServiceHost(service: resource.key)] = spec
                names[resource.key.namespace, default: []].append(resource.key.name)
            case .destinationRule(let spec):
                let host = ServiceHost(spec.host, inNamespace: resource.key.namespace)
                subsets[host, default: []] += spec.subsets.map(\.name)
            case .virtualService, .meshConfig: break
            }
        }
    }

    /// The existing host that was probably meant: near by spelling, or the same service in another namespace.
    func nearest(to host: ServiceHost, written: String, namespace: String) -> String? {
        let name = host.service?.name ?? written
        // `reviews.shop` is what people write for a service of another namespace; it is a full name to Istio.
        let full = ServiceHost("\(written).svc", inNamespace: namespace)
        if services[full] != nil { return full.name }
        let neighbours = names[host.service?.namespace ?? namespace] ?? []
        if let near = NearestName.nearest(to: name, among: neighbours) { return near }
        let elsewhere = names.keys.sorted().first { ServiceHost(name, inNamespace: $0).isKnown(services) }
        return elsewhere.map { ServiceHost(name, inNamespace: $0).name }
    }
}

extension ServiceHost {
    fileprivate func isKnown(_ services: [ServiceHost: ServiceSpec]) -> Bool { services[self] != nil }
}
