extension ResourceSet {
    /// What is wrong or doubtful between resources, in a stable order. Errors make a set impossible; warnings do not.
    package func check() -> [ConfigError] {
        let check = SetCheck(self)
        return byAge.flatMap { check.issues(of: $0) }
    }

    /// Of these resources only, those of them that exist.
    func check(_ keys: Set<ResourceKey>) -> [ConfigError] {
        let check = SetCheck(self)
        return keys.compactMap { entries[$0] }.sorted { $0.created < $1.created }.flatMap { check.issues(of: $0) }
    }
}

/// One look over a set: what is wrong or doubtful about each resource because of the others.
///
/// Every check asks the index for what it needs and walks no list that grows with the set, so that after a change only
/// the resources that it concerns (`SetIndex.concerned`) have to be looked at.
struct SetCheck {
    let set: ResourceSet
    /// Looking for the nearest name costs a walk over all names. Where more dangle than this, no typo is the cause.
    private let hints = HintBudget(left: 20)

    init(_ set: ResourceSet) { self.set = set }

    var index: SetIndex { self.set.index }

    func issues(of entry: ResourceSet.Entry) -> [ConfigError] {
        let resource = entry.resource
        return switch resource.spec {
        case .service(let spec): ownership(of: entry) + endpoints(of: resource, spec)
        case .serviceEntry: ownership(of: entry)
        case .virtualService(let spec): ownership(of: entry) + references(of: resource, spec)
        case .destinationRule(let spec): ownership(of: entry) + references(of: resource, spec)
        case .endpointSlice(let spec): references(of: resource, spec)
        case .workloadEntry(let spec): selection(of: resource, spec)
        case .meshConfig: ownership(of: entry)
        case .workload: []
        }
    }

    // MARK: Names

    /// The host that `written` means in a resource.
    func resolve(_ written: String, from resource: Resource) -> ServiceHost {
        let meanings = SetIndex.meanings(of: written, in: resource.key.namespace)
        return meanings.first { index.offers[$0] != nil } ?? meanings[0]
    }

    /// Who has a host, or the narrowest wildcard that covers it.
    func offers(of host: ServiceHost) -> [SetIndex.Offer] {
        index.offers[host] ?? host.wildcards.lazy.compactMap { index.offers[$0] }.first ?? []
    }

    /// Of those, the one that workloads of a namespace get: a Service before a ServiceEntry, their own before another's.
    func offer(of host: ServiceHost, seenFrom namespace: String) -> SetIndex.Offer? {
        let visible = offers(of: host).filter { $0.exportTo.includes(namespace) }
        return visible.first { $0.key.kind == .service } ?? visible.first { $0.key.namespace == namespace }
            ?? visible.first
    }

    /// The subsets of a host, or of the narrowest wildcard that covers it, for the workloads of a namespace: their own
    /// namespace's rules hold before those of the host's, and these before the oldest other's.
    func subsets(of host: ServiceHost, seenFrom namespace: String) -> [String] {
        for candidate in [host] + host.wildcards {
            let rules = (index.ruled[candidate] ?? []).filter { $0.exportTo.includes(namespace) }
            guard !rules.isEmpty else { continue }
            let homes = rules.map(\.key.namespace)
            let home =
                homes.first { $0 == namespace } ?? homes.first { $0 == host.service?.namespace } ?? homes.first
            return rules.filter { $0.key.namespace == home }.flatMap { rule -> [String] in
                guard case .destinationRule(let spec) = set.entries[rule.key]?.resource.spec else { return [] }
                return spec.subsets.map(\.name)
            }
        }
        return []
    }

    /// The existing host that was probably meant: near by spelling, or the same service in another namespace.
    func nearest(to host: ServiceHost, written: String, namespace: String) -> String? {
        let name = host.service?.name ?? written
        guard hints.take() else { return nil }
        let neighbours = index.names[host.service?.namespace ?? namespace] ?? []
        if let near = NearestName.nearest(to: name, among: neighbours) { return near }
        if let near = NearestName.nearest(to: written, among: index.outside) { return near }
        let elsewhere = index.names.keys.filter { index.offers[ServiceHost(name, inNamespace: $0)] != nil }.min()
        return elsewhere.map { ServiceHost(name, inNamespace: $0).name }
    }

    func nearest(to name: String, among names: @autoclosure () -> [String]) -> String? {
        hints.take() ? NearestName.nearest(to: name, among: names()) : nil
    }
}
