package import TrammelConfig
import TrammelCore

/// Turns resources and workloads into a `RuntimeSnapshot`.
///
/// One per agent, used by one task at a time: it remembers the slots of clusters and endpoints, which have to outlive
/// the snapshots. Nothing that has passed validation makes it fail; what cannot work is left out or answers for
/// itself (503, flag NC), and a warning says so.
package final class SnapshotCompiler {
    private var clusterSlots: [String: Int] = [:]
    private var endpoints: [EndpointKey: Endpoint] = [:]
    private var sources: [WorkloadID: Source] = [:]
    private var nextEndpointSlot = 0

    private struct EndpointKey: Hashable {
        let workload: WorkloadID
        let address: IPEndpoint
    }

    package init() {}

    /// - Parameters:
    ///   - resources: valid ones, each key once, in any order.
    ///   - workloads: the attached ones, in any order.
    ///   - vips: the virtual addresses of the services that name none themselves.
    package func compile(
        resources: some Sequence<Resource>, workloads: [WorkloadFacts], vips: [ServiceKey: VIPs], version: UInt64
    ) -> (snapshot: RuntimeSnapshot, warnings: [CompileWarning]) {
        var warnings: [CompileWarning] = []
        let sorted = SortedResources(resources)
        let live = Set(workloads.map(\.id))
        sources = sources.filter { live.contains($0.key) }
        endpoints = endpoints.filter { live.contains($0.key.workload) }

        let workloads = WorkloadIndex(workloads)
        let rules = DestinationRules(sorted.destinationRules)
        let services = sorted.services.map { resource, spec in
            compile(resource, spec, workloads, rules, vips, &warnings)
        }
        let byName = Dictionary(
            services.map { (HostName.key(of: $0.identity.host, namespace: "") as String, $0) },
            uniquingKeysWith: { first, _ in first })
        for (host, rules) in rules.exact where byName[host] == nil {
            for rule in rules {
                warnings.append(RouteCompiler.noSuchHost(rule.spec.host, rule.reference, byName))
            }
        }
        let routes = VirtualServices(
            sorted.virtualServices, compiler: RouteCompiler(services: byName), warnings: &warnings)
        let snapshot = SnapshotAssembly(services: services, routes: routes, warnings: &warnings)
            .snapshot(version: version, settings: sorted)
        warnings.sort {
            ($0.location.file, $0.location.line, $0.message) < ($1.location.file, $1.location.line, $1.message)
        }
        return (snapshot, warnings)
    }

    private func compile(
        _ resource: Resource, _ spec: ServiceSpec, _ index: WorkloadIndex, _ rules: DestinationRules,
        _ vips: [ServiceKey: VIPs], _ warnings: inout [CompileWarning]
    ) -> CompiledService {
        let key = ServiceKey(namespace: resource.key.namespace, name: resource.key.name)
        let identity = ServiceIdentity(name: key.name, namespace: key.namespace)
        let workloads = index.matching(spec.selector, in: key.namespace)
        let rule = rules.effective(for: identity, warnings: &warnings)
        let addresses: [IPAddress] =
            switch spec.clusterIP {
            case .allocate: vips[key] ?? []
            case .addresses(let addresses): addresses
            case .headless: []
            }
        let ports = spec.ports.filter { $0.transport == .tcp }.map { port in
            let all = workloads.map { (facts: $0, endpoint: endpoint(of: $0, port: port.targetPort)) }
            func cluster(_ subset: DestinationRuleSpec.Subset?, _ reference: ResourceReference?) -> Cluster {
                let labels = subset?.labels ?? [:]
                let chosen = all.filter { $0.facts.identity.labels.contains(labels) }
                let settings = rule.settings(port: port.port, subset: subset)
                let name = "outbound|\(port.port)|\(subset?.name ?? "")|\(identity.host)"
                let policy = settings.loadBalancer ?? .leastRequest
                if policy == .passthrough, spec.clusterIP == .allocate, let reference {
                    warnings.append(
                        CompileWarning(
                            .withoutEffect, reference.key, reference.location,
                            "PASSTHROUGH carries a call to the address that was asked for, and nobody listens at the "
                                + "virtual address of \(identity.host); make the service headless (clusterIP: None)"))
                }
                return Cluster(
                    slot: slot(ofCluster: name), name: name, service: identity, port: port.port, subset: subset?.name,
                    endpoints: chosen.filter { !$0.facts.notListening.contains(port.targetPort) }.map(\.endpoint),
                    notReady: chosen.filter { $0.facts.notListening.contains(port.targetPort) }.map(\.endpoint),
                    policy: policy, connectTimeout: settings.connectTimeout ?? 10_000_000_000,
                    isHeadless: spec.clusterIP == .headless, rule: reference)
            }
            return CompiledService.Port(
                spec: port, cluster: cluster(nil, rule.reference),
                subsets: Dictionary(
                    rule.subsets.map { ($0.subset.name, cluster($0.subset, $0.reference)) },
                    uniquingKeysWith: { first, _ in first }))
        }
        return CompiledService(
            key: key, resource: resource, spec: spec, identity: identity, addresses: addresses, ports: ports,
            subsetNames: rule.subsets.map(\.subset.name))
    }

    private func slot(ofCluster name: String) -> Int {
        if let slot = clusterSlots[name] { return slot }
        let slot = clusterSlots.count
        clusterSlots[name] = slot
        return slot
    }

    private func endpoint(of facts: WorkloadFacts, port: UInt16) -> Endpoint {
        let addresses = facts.addresses.isEmpty ? [IPAddress.loopbackV4] : facts.addresses
        let key = EndpointKey(workload: facts.id, address: IPEndpoint(addresses[0], port))
        if let known = endpoints[key], known.addresses == addresses, known.identity == facts.identity { return known }
        // What changed is another endpoint to whoever compares, under the slot of the old one.
        let slot = endpoints[key]?.slot ?? nextEndpointSlot
        if slot == nextEndpointSlot { nextEndpointSlot += 1 }
        let endpoint = Endpoint(slot: slot, source: source(of: facts), address: key.address, addresses: addresses)
        endpoints[key] = endpoint
        return endpoint
    }

    private func source(of facts: WorkloadFacts) -> Source {
        if let known = sources[facts.id], known.identity == facts.identity { return known }
        let source = Source(id: facts.id, identity: facts.identity)
        sources[facts.id] = source
        return source
    }
}

/// The resources by kind, each kind in the order of its keys, so that what is compiled depends on nothing else.
struct SortedResources {
    var services: [(resource: Resource, spec: ServiceSpec)] = []
    var destinationRules: [DestinationRules.Rule] = []
    var virtualServices: [(resource: Resource, spec: VirtualServiceSpec)] = []
    var outboundTrafficPolicy = MeshConfigSpec.OutboundTrafficPolicy.allowAny
    var meshConfig: ResourceReference?

    init(_ resources: some Sequence<Resource>) {
        for resource in resources.sorted(by: { $0.key < $1.key }) {
            let reference = ResourceReference(key: resource.key, location: resource.location)
            switch resource.spec {
            case .service(let spec): services.append((resource, spec))
            case .virtualService(let spec): virtualServices.append((resource, spec))
            case .meshConfig(let spec):
                outboundTrafficPolicy = spec.outboundTrafficPolicy
                meshConfig = reference
            case .destinationRule(let spec):
                destinationRules.append(DestinationRules.Rule(reference: reference, spec: spec))
            }
        }
    }
}
