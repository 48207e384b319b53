extension SetIndex {
    /// The resources about which a check may say something else once `old` has become `new`, either of which may be
    /// absent; the resource itself is not among them. Asked of the index before the change and of the one after it, the
    /// two answers together are whole.
    func concerned(by old: ResourceSet.Entry?, _ new: ResourceSet.Entry?) -> Set<ResourceKey> {
        var keys: Set<ResourceKey> = []
        let moved = old?.resource.location != new?.resource.location
        let sides = [old, new].compactMap(\.self)
        let offers = [old.flatMap(SetIndex.offer), new.flatMap(SetIndex.offer)]
        let hosts = Set(old.map { SetIndex.hosts(of: $0.resource) } ?? [])
            .symmetricDifference(new.map { SetIndex.hosts(of: $0.resource) } ?? [])
        // A service whose endpoints change is to others what it was.
        let changed = offers[0] == offers[1] && !moved ? hosts : Set(sides.flatMap { SetIndex.hosts(of: $0.resource) })
        for host in changed { keys.formUnion(dependants(of: host)) }
        for entry in sides {
            let resource = entry.resource
            for (claim, _) in SetIndex.claims(of: resource) { keys.formUnion(addresses[claim]?.map(\.key) ?? []) }
            switch resource.spec {
            case .service: keys.formUnion(slices[resource.key] ?? [])
            case .virtualService(let spec):
                for host in spec.hosts.flatMap({ SetIndex.meanings(of: $0, in: resource.key.namespace) }) {
                    keys.formUnion(routed[host]?.map(\.key) ?? [])
                }
                keys.formUnion(SetIndex.delegates(of: spec))
                keys.formUnion(delegating[resource.key] ?? [])
            case .destinationRule(let spec):
                for host in SetIndex.meanings(of: spec.host, in: resource.key.namespace) {
                    keys.formUnion(dependants(of: host))
                }
            case .endpointSlice:
                if let service = SetIndex.service(of: resource) { keys.insert(service) }
            case .meshConfig: keys.formUnion(meshes.map(\.key))
            case .serviceEntry, .workloadEntry, .workload: break
            }
        }
        return keys
    }

    /// Those that name a host, lay claim to it or have it; of a wildcard, those of every host that it covers.
    private func dependants(of host: ServiceHost) -> Set<ResourceKey> {
        var keys = Set(mentions[host] ?? [])
        keys.formUnion(offers[host]?.map(\.key) ?? [])
        guard host.isWildcard else { return keys }
        for mention in mentions.keys where host.covers(mention) { keys.formUnion(mentions[mention] ?? []) }
        return keys
    }
}
