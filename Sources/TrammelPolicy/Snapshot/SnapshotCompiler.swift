package import TrammelConfig
import TrammelCore

/// Turns resources and workloads into a `RuntimeSnapshot`.
///
/// One per agent, used by one task at a time: it remembers the slots of clusters and endpoints, which have to outlive
/// the snapshots, and what it made of services and routes, so that of a large mesh only what a change touches is made
/// anew. Nothing that has passed validation makes it fail; what cannot work is left out or answers for itself (503,
/// flag NC), and a warning says so.
package final class SnapshotCompiler {
    private var clusterSlots: [String: Int] = [:]
    private var workloads = WorkloadMemory()
    private var rules = DestinationRules([])
    private var services: [ServiceKey: CompiledService] = [:]
    private var routes = RouteMemory()

    package init() {}

    /// - Parameters:
    ///   - resources: valid ones, each key once, the oldest first: of two that contradict the first holds.
    ///   - workloads: the attached ones, in any order.
    ///   - vips: the virtual addresses of the services that name none themselves.
    package func compile(
        resources: some Sequence<Resource>, workloads facts: [WorkloadFacts], vips: [ServiceKey: VIPs], version: UInt64
    ) -> (snapshot: RuntimeSnapshot, warnings: [CompileWarning]) {
        let sorted = SortedResources(resources)
        workloads.update(facts)
        let rules = DestinationRules(sorted.destinationRules)
        let isSameRules = rules == self.rules
        self.rules = rules

        let compiled = sorted.services.map { resource, spec in
            service(resource, spec, vips, mayReuse: isSameRules)
        }
        services = Dictionary(compiled.map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
        let byHost = Dictionary(compiled.map { ($0.hostKey, $0) }, uniquingKeysWith: { first, _ in first })

        var warnings = compiled.flatMap(\.warnings)
        for (host, rules) in rules.exact where byHost[host] == nil {
            warnings += rules.map { RouteCompiler.noSuchHost($0.spec.host, $0.reference, byHost) }
        }
        let routes = VirtualServices(
            sorted.virtualServices, memory: &self.routes, services: byHost, warnings: &warnings)
        let snapshot = SnapshotAssembly(services: compiled, routes: routes, warnings: &warnings)
            .snapshot(version: version, settings: sorted)
        warnings.sort {
            ($0.location.file, $0.location.line, $0.message) < ($1.location.file, $1.location.line, $1.message)
        }
        return (snapshot, warnings)
    }

    /// The service of the last compile where neither the Service, nor a DestinationRule, nor one of its endpoints has
    /// changed; else a new one.
    private func service(
        _ resource: Resource, _ spec: ServiceSpec, _ vips: [ServiceKey: VIPs], mayReuse: Bool
    ) -> CompiledService {
        let key = ServiceKey(namespace: resource.key.namespace, name: resource.key.name)
        let origin = ResourceReference(key: resource.key, location: resource.location)
        let addresses =
            switch spec.clusterIP {
            case .allocate: vips[key] ?? []
            case .addresses(let addresses): addresses
            case .headless: [IPAddress]()
            }
        if mayReuse, let former = services[key], former.isStill(origin, spec, addresses),
            !workloads.mayHaveChanged(spec.selector, in: key.namespace)
        {
            return former
        }
        return compile(origin, spec, addresses)
    }

    private func compile(
        _ origin: ResourceReference, _ spec: ServiceSpec, _ addresses: [IPAddress]
    ) -> CompiledService {
        let identity = ServiceIdentity(name: origin.key.name, namespace: origin.key.namespace)
        var warnings: [CompileWarning] = []
        let rule = rules.effective(for: identity, warnings: &warnings)
        let selected = workloads.index.matching(spec.selector, in: identity.namespace)
        let isHeadless = spec.clusterIP == .headless
        let ports = spec.ports.filter { $0.transport == .tcp }.map { port in
            let all = selected.map { workload in
                Candidate(
                    endpoint: workloads.endpoint(of: workload, port: port.targetPort),
                    isReady: !workload.notListening.contains(port.targetPort))
            }
            func cluster(_ subset: DestinationRuleSpec.Subset?, _ reference: ResourceReference?) -> Cluster {
                let settings = rule.settings(port: port.port, subset: subset)
                let chosen = subset.map { subset in all.filter { $0.endpoint.labels.contains(subset.labels) } } ?? all
                let name = "outbound|\(port.port)|\(subset?.name ?? "")|\(identity.host)"
                let policy = settings.loadBalancer ?? .leastRequest
                if policy == .passthrough, spec.clusterIP == .allocate, let reference {
                    warnings.append(.passthroughToVirtualAddress(identity, reference))
                }
                let ready = chosen.filter(\.isReady).map(\.endpoint)
                let notReady = chosen.filter { !$0.isReady }.map(\.endpoint)
                return Cluster(
                    slot: slot(ofCluster: name), name: name, service: identity, port: port.port, subset: subset?.name,
                    endpoints: ready.isEmpty ? notReady : ready, notReady: notReady, policy: policy,
                    connectTimeout: settings.connectTimeout ?? SnapshotCompiler.defaultConnectTimeout,
                    isHeadless: isHeadless, rule: reference)
            }
            return CompiledService.Port(
                spec: port, cluster: cluster(nil, rule.reference),
                subsets: rule.subsets.map { ($0.subset.name, cluster($0.subset, $0.reference)) })
        }
        return CompiledService(
            origin: origin, spec: spec, identity: identity, addresses: addresses, ports: ports,
            subsetNames: rule.subsets.map(\.subset.name), warnings: warnings)
    }

    private struct Candidate {
        let endpoint: Endpoint
        let isReady: Bool
    }

    /// Nanoseconds; Istio's.
    private static let defaultConnectTimeout: UInt64 = 10_000_000_000

    private func slot(ofCluster name: String) -> Int {
        if let slot = clusterSlots[name] { return slot }
        let slot = clusterSlots.count
        clusterSlots[name] = slot
        return slot
    }
}

extension CompileWarning {
    fileprivate static func passthroughToVirtualAddress(
        _ service: ServiceIdentity, _ reference: ResourceReference
    ) -> CompileWarning {
        CompileWarning(
            .withoutEffect, reference.key, reference.location,
            "PASSTHROUGH carries a call to the address that was asked for, and nobody listens at the virtual address "
                + "of \(service.host); make the service headless (clusterIP: None)")
    }
}
