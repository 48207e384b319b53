extension ResourceSet {
    /// What is wrong or doubtful between resources, in a stable order. Errors make a set impossible; warnings do not.
    package func check() -> [ConfigError] {
        let resources = resources
        let index = SetIndex(resources)
        var issues = OwnershipCheck.check(resources, index)
        for resource in resources {
            switch resource.spec {
            case .virtualService(let spec): issues += ReferenceCheck.check(resource, spec, index)
            case .destinationRule(let spec): issues += ReferenceCheck.check(resource, spec, index)
            case .service, .serviceEntry, .workloadEntry, .endpointSlice, .workload, .meshConfig: break
            }
        }
        return issues
    }
}

/// The names that resources may refer to.
struct SetIndex {
    private(set) var services: [ServiceHost: ServiceSpec] = [:]
    /// The names of the services, by namespace.
    private var names: [String: [String]] = [:]
    /// The subsets of each host, from those of its DestinationRules that hold.
    private var subsets: [ServiceHost: [String]] = [:]
    /// Looking for the nearest name costs a walk over all names. Where more dangle than this, no typo is the cause.
    private let hints = HintBudget(left: 20)

    /// - Parameter resources: the oldest first.
    init(_ resources: [Resource]) {
        for resource in resources {
            guard case .service(let spec) = resource.spec else { continue }
            services[ServiceHost(service: resource.key)] = spec
            names[resource.key.namespace, default: []].append(resource.key.name)
        }
        var rules: [ServiceHost: [(namespace: String, subsets: [String])]] = [:]
        for resource in resources {
            guard case .destinationRule(let spec) = resource.spec else { continue }
            let host = resolve(spec.host, from: resource)
            rules[host, default: []].append((resource.key.namespace, spec.subsets.map(\.name)))
        }
        for (host, rules) in rules {
            let home = SetIndex.home(of: host, among: rules.map(\.namespace))
            subsets[host] = rules.filter { $0.namespace == home }.flatMap(\.subsets)
        }
    }

    /// The host that `written` means in a resource. `reviews.shop` is the service of that namespace where there is
    /// one, else a name of the outside world.
    func resolve(_ written: String, from resource: Resource) -> ServiceHost {
        let host = ServiceHost(written, inNamespace: resource.key.namespace)
        if services[host] != nil { return host }
        let inMesh = ServiceHost("\(written).svc", inNamespace: resource.key.namespace)
        return services[inMesh] == nil ? host : inMesh
    }

    /// The subsets of a host, or of the longest wildcard that covers it.
    func subsets(of host: ServiceHost) -> [String] {
        if let own = subsets[host] { return own }
        let wildcards = subsets.keys.filter { $0.isWildcard && $0.covers(host) }
        return wildcards.max { ($0.name.utf8.count, $0) < ($1.name.utf8.count, $1) }.flatMap { subsets[$0] } ?? []
    }

    /// Of the namespaces that say something about a host, the one that holds: the host's own, else the first.
    static func home(of host: ServiceHost, among namespaces: [String]) -> String? {
        namespaces.first { $0 == host.service?.namespace } ?? namespaces.first
    }

    /// The existing host that was probably meant: near by spelling, or the same service in another namespace.
    func nearest(to host: ServiceHost, written: String, namespace: String) -> String? {
        let name = host.service?.name ?? written
        guard hints.take() else { return nil }
        let neighbours = names[host.service?.namespace ?? namespace] ?? []
        if let near = NearestName.nearest(to: name, among: neighbours) { return near }
        let elsewhere = names.keys.sorted().first { services[ServiceHost(name, inNamespace: $0)] != nil }
        return elsewhere.map { ServiceHost(name, inNamespace: $0).name }
    }
}

/// Counts down over one check.
private final class HintBudget {
    private var left: Int

    init(left: Int) { self.left = left }

    func take() -> Bool {
        left -= 1
        return left >= 0
    }
}
