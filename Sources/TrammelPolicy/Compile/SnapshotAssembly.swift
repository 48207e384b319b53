import TrammelConfig
import TrammelCore

/// Ties compiled services and routes together into the tables of a snapshot; keeps the tables of names and addresses
/// from one to the next while there are the same names and addresses.
struct SnapshotAssembly {
    /// The VirtualService of each service, by the service's owner.
    private var assigned: [ResourceKey: ResourceKey] = [:]
    /// Hosts that VirtualServices name and that are no service.
    private var virtualHosts: [(key: String, routes: ResourceKey)] = []
    private var exact = HostTable([])
    private var addresses = AddressTable([:])
    private var ownAddresses = AddressTable([:])
    private var blocks = BlockTable([])
    private var privateViews = PrivateViews()
    /// About addresses that two services claim.
    private(set) var warnings: [CompileWarning] = []

    mutating func snapshot(_ plan: SnapshotPlan, version: UInt64) -> RuntimeSnapshot {
        if plan.servicesAreNew || plan.claimsAreNew { assign(plan) }
        var parts = ViewParts()
        var clusters: [Cluster] = []
        var inbound: [WorkloadPort: ServicePort] = [:]
        var keys: [String] = []
        for owner in plan.services.order {
            guard let service = plan.services.compiled[owner], service.shape.exportTo == .everywhere,
                !plan.services.isOvershadowed(owner, service.hostKey)
            else { continue }
            let table = assigned[owner].flatMap { plan.routes.entries[$0]?.table }
            let ports = service.servicePorts(routedBy: table)
            if service.wildcardSuffix == nil { keys.append(service.hostKey) }
            parts.enter(service, ports)
            clusters += service.clusters
            SnapshotAssembly.claim(service, ports, &inbound)
        }
        for (key, routes) in virtualHosts {
            guard let table = plan.routes.entries[routes]?.table else { continue }
            keys.append(key)
            parts.enter(virtualHost: table)
        }
        for (suffix, routes) in plan.claims.wildcards.sorted(by: { $0.key < $1.key }) {
            if let table = plan.routes.entries[routes]?.table { parts.enter(wildcard: suffix, table) }
        }
        if plan.servicesAreNew || plan.claimsAreNew {
            exact = HostTable(keys.enumerated().map { ($1, UInt32(truncatingIfNeeded: $0)) })
        }
        if plan.servicesAreNew {
            warnings = []
            addresses = AddressTable(parts.addresses(&warnings))
            blocks = BlockTable(parts.blocks())
        }
        if plan.servicesAreNew || plan.headlessAreNew { ownAddresses = AddressTable(parts.ownAddresses()) }
        let common = parts.view(exact: exact, addresses: addresses, ownAddresses: ownAddresses, blocks: blocks)
        let own = privateViews.make(plan)
        for service in plan.services.restricted + plan.services.overshadowed {
            clusters += service.clusters
            SnapshotAssembly.claim(service, service.servicePorts(routedBy: nil), &inbound)
        }
        let meshConfig = plan.meshConfig
        return RuntimeSnapshot(
            version: version, outboundTrafficPolicy: meshConfig?.spec.outboundTrafficPolicy ?? .allowAny,
            meshConfig: meshConfig?.reference, clusters: clusters, inbound: inbound, common: common, own: own)
    }

    private mutating func assign(_ plan: SnapshotPlan) {
        assigned = [:]
        for owner in plan.services.order {
            guard let service = plan.services.compiled[owner] else { continue }
            if let routes = plan.claims.owner(of: service) { assigned[owner] = routes }
        }
        virtualHosts = plan.claims.exact.lazy.filter { key, _ in plan.services.common(key) == nil }
            .map { (key: $0, routes: $1) }.sorted { $0.key < $1.key }
    }

    private static func claim(
        _ service: CompiledService, _ ports: [ServicePort], _ inbound: inout [WorkloadPort: ServicePort]
    ) {
        guard service.hasWorkloads else { return }
        for (port, candidates) in zip(ports, service.candidates) {
            for candidate in candidates {
                guard let workload = candidate.endpoint.workload else { continue }
                let key = WorkloadPort(workload: workload, port: candidate.endpoint.address.port)
                if inbound[key] == nil { inbound[key] = port }
            }
        }
    }
}

extension SnapshotPlan {
    fileprivate var meshConfig: (reference: ResourceReference, spec: MeshConfigSpec)? {
        let found = inventory.meshConfigs.lazy.compactMap { inventory[$0] }.min { $0.age < $1.age }
        guard let found, case .meshConfig(let spec) = found.spec else { return nil }
        return (found.reference, spec)
    }
}
