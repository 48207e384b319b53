import TrammelCore

/// Things that can have one owner only. The one that has to give way is told.
extension SetCheck {
    func ownership(of entry: ResourceSet.Entry) -> [ConfigError] {
        let resource = entry.resource
        switch resource.spec {
        case .service: return claims(of: entry)
        case .serviceEntry(let spec): return rivals(of: entry, spec) + claims(of: entry)
        case .virtualService(let spec): return spec.appliesToMesh ? rivals(of: resource, spec) : []
        case .destinationRule(let spec): return rivals(of: resource, spec)
        case .meshConfig:
            guard let first = index.meshes.first, first.key != resource.key, let older = set[first.key] else {
                return []
            }
            return [
                resource.issue(
                    .conflict,
                    "\(older.key) (\(older.location)) configures the mesh already; there can be one only",
                    hint: "change that one, or delete it first")
            ]
        case .workloadEntry, .endpointSlice, .workload: return []
        }
    }

    // MARK: Hosts

    /// Of VirtualServices for one host one holds: that of the host's own namespace, else the oldest. One that is exported
    /// to some namespaces only comes before those that everybody sees, and is no rival of theirs.
    private func rivals(of resource: Resource, _ spec: VirtualServiceSpec) -> [ConfigError] {
        var told: Set<ServiceHost> = []
        return spec.hosts.compactMap { written in
            let host = resolve(written, from: resource)
            guard told.insert(host).inserted else { return nil }
            let rivals = (index.routed[host] ?? []).filter { rival in
                rival.key == resource.key || contend(spec.exportTo, rival.exportTo) && routes(rival.key, host)
            }
            guard let winner = holder(of: host, among: rivals), winner.key != resource.key,
                let other = set[winner.key]
            else { return nil }
            let isHome =
                winner.key.namespace == host.service?.namespace && resource.key.namespace != winner.key.namespace
            return resource.issue(
                .duplicate, severity: .warning, field: "spec.hosts",
                "\(other.key) (\(other.location)) routes \(host) too; it is \(isHome ? "of the host's own namespace" : "older") and holds, this one has no effect on \(host)",
                hint: "put all routes of a host into one VirtualService")
        }
    }

    private func contend(_ a: ExportTo, _ b: ExportTo) -> Bool {
        switch (a, b) {
        case (.everywhere, .everywhere): true
        case (.namespaces(let one), .namespaces(let other)): !one.isDisjoint(with: other)
        default: false
        }
    }

    /// Whether one of its hosts means this one, as things are.
    private func routes(_ key: ResourceKey, _ host: ServiceHost) -> Bool {
        guard let resource = set[key], case .virtualService(let spec) = resource.spec else { return false }
        return spec.hosts.contains { resolve($0, from: resource) == host }
    }

    private func holder(of host: ServiceHost, among claimants: [SetIndex.Claimant]) -> SetIndex.Claimant? {
        claimants.first { $0.key.namespace == host.service?.namespace } ?? claimants.first
    }

    /// DestinationRules for one host are joined within a namespace. The workloads of a namespace go by its own, else by
    /// those of the host's, else by the oldest.
    private func rivals(of resource: Resource, _ spec: DestinationRuleSpec) -> [ConfigError] {
        let host = resolve(spec.host, from: resource)
        let rivals = (index.ruled[host] ?? []).filter { rival in
            rival.key == resource.key || contend(spec.exportTo, rival.exportTo) && rules(rival.key, host)
        }
        guard rivals.count > 1, let home = holder(of: host, among: rivals)?.key.namespace,
            let winner = rivals.first(where: { $0.key.namespace == home }), winner.key != resource.key,
            let other = set[winner.key]
        else { return [] }
        let reason = home == host.service?.namespace ? "is of the host's own namespace" : "is older"
        let effect =
            resource.key.namespace == home
            ? "their subsets are joined, and where they differ the older holds"
            : "it \(reason) and holds, this one only for the workloads of its own namespace"
        return [
            resource.issue(
                .duplicate, severity: .warning, field: "spec.host",
                "\(other.key) (\(other.location)) is for \(host) too; \(effect)",
                hint: "put all settings of a host into one DestinationRule")
        ]
    }

    private func rules(_ key: ResourceKey, _ host: ServiceHost) -> Bool {
        guard let resource = set[key], case .destinationRule(let spec) = resource.spec else { return false }
        return resolve(spec.host, from: resource) == host
    }

    /// Within a namespace the older ServiceEntry of a host holds; a Service holds before any.
    private func rivals(of entry: ResourceSet.Entry, _ spec: ServiceEntrySpec) -> [ConfigError] {
        let resource = entry.resource
        return zip(spec.hosts, SetIndex.hosts(of: resource)).enumerated().compactMap { number, hosts in
            let (written, host) = hosts
            let winner = (index.offers[host] ?? []).first { rival in
                rival.key.kind == .service
                    || rival.key.namespace == resource.key.namespace && rival.created < entry.created
            }
            guard let winner, let other = set[winner.key] else { return nil }
            let reason = winner.key.kind == .service ? "a Service holds before a ServiceEntry" : "it is older and holds"
            return resource.issue(
                .duplicate, severity: .warning, field: "spec.hosts[\(number)]",
                "\(other.key) (\(other.location)) has the host \(quoted(written)) too; \(reason), this one has no effect on it",
                hint: "put all ports and endpoints of a host into one ServiceEntry")
        }
    }

    // MARK: Addresses

    /// Two Services cannot have one address. A ServiceEntry may share its own where the bytes tell its hosts from others.
    private func claims(of entry: ResourceSet.Entry) -> [ConfigError] {
        let resource = entry.resource
        var told: Set<SetIndex.AddressClaim> = []
        return SetIndex.claims(of: resource).compactMap { claim, port in
            guard told.insert(claim).inserted,
                let holder = index.addresses[claim]?.first(where: { $0.created < entry.created }),
                let owner = set[holder.key]
            else { return nil }
            let areServices = resource.key.kind == .service && owner.key.kind == .service
            if !areServices, tells(claim, resource), tells(claim, owner) { return nil }
            let field = resource.key.kind == .service ? "spec.clusterIP" : "spec.addresses"
            let place = "\(IPEndpoint(claim.address, claim.port)) belongs to \(owner.key) (\(owner.location)) already"
            if areServices {
                return resource.issue(
                    .conflict, field: field, at: port.location, place,
                    hint: "give one of them another address, or leave clusterIP out to have one allocated")
            }
            return resource.issue(
                .conflict, severity: .warning, field: field, at: port.location,
                "\(place); it is older and holds, since the port's protocol does not tell hosts apart",
                hint: "give one of them another address, or another port")
        }
    }

    /// Whether clients say on this port whom they mean: requests by Host, TLS by SNI.
    private func tells(_ claim: SetIndex.AddressClaim, _ resource: Resource) -> Bool {
        let telling: Set<AppProtocol> = [.http, .http2, .grpc, .https, .tls]
        return SetIndex.claims(of: resource).contains { $0.claim == claim && telling.contains($0.port.appProtocol) }
    }
}
