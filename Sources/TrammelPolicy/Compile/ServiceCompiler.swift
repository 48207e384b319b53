import TrammelConfig
import TrammelCore

/// Makes clusters of a service's endpoints, as a DestinationRule treats them.
struct ServiceCompiler {
    let shape: ServiceShape
    let addresses: [IPAddress]
    let rule: DestinationRules.Effective
    /// Set for clusters that only the workloads of one namespace see.
    var view = ""

    /// Nanoseconds; Istio's.
    private static let defaultConnectTimeout: UInt64 = 10_000_000_000

    /// - Parameters:
    ///   - ports: those carried over TCP.
    ///   - candidates: of each of `ports`.
    ///   - datagramPorts: those carried over UDP, of which `datagramCandidates` are; routes and subsets know nothing of
    ///     them.
    func compile(
        ports: [ServiceSpec.Port], candidates: [[Candidate]], datagramPorts: [ServiceSpec.Port] = [],
        datagramCandidates: [[Candidate]] = [], warnings: [CompileWarning], slots: ClusterSlots
    ) -> CompiledService {
        var warnings = warnings
        let compiled = zip(ports, candidates).map { port, candidates in
            CompiledService.Port(
                spec: port, cluster: cluster(nil, rule.reference, port, candidates, slots, &warnings),
                subsets: rule.subsets.map { subset, reference in
                    (subset.name, cluster(subset, reference, port, candidates, slots, &warnings))
                })
        }
        let datagrams = zip(datagramPorts, datagramCandidates).map { port, candidates in
            CompiledService.Port(
                spec: port, cluster: cluster(nil, rule.reference, port, candidates, slots, &warnings), subsets: [])
        }
        return CompiledService(
            shape: shape, addresses: addresses, ports: compiled, candidates: candidates, datagramPorts: datagrams,
            datagramCandidates: datagramCandidates, rule: rule, warnings: warnings)
    }

    private func cluster(
        _ subset: DestinationRuleSpec.Subset?, _ reference: ResourceReference?, _ port: ServiceSpec.Port,
        _ candidates: [Candidate], _ slots: ClusterSlots, _ warnings: inout [CompileWarning]
    ) -> Cluster {
        let settings = rule.settings(port: port.port, subset: subset)
        var chosen = candidates
        if let subset { chosen.removeAll { !$0.endpoint.labels.contains(subset.labels) } }
        let name = "outbound|\(port.port)|\(subset?.name ?? "")|\(shape.identity.host)"
        let policy = shape.backing == .asked ? .passthrough : settings.loadBalancer ?? .leastRequest
        if settings.loadBalancer == .passthrough, shape.address == .allocated, let reference {
            warnings.append(.passthroughToVirtualAddress(shape.identity, reference))
        }
        // A service may have the same port over both.
        let key = view + (port.transport == .udp ? "udp|" : "") + name
        return Cluster(
            slot: slots.slot(of: key), name: name, service: shape.identity, port: port.port,
            subset: subset?.name, candidates: chosen, policy: policy,
            connectTimeout: settings.connectTimeout ?? ServiceCompiler.defaultConnectTimeout,
            kind: shape.backing == .asked ? .asked : shape.address == .headless ? .headless : .balanced,
            rule: reference)
    }
}

/// Numbers for clusters, dense, the same for the same name for as long as the agent runs.
final class ClusterSlots {
    private var known: [String: Int] = [:]

    func slot(of name: String) -> Int {
        if let slot = known[name] { return slot }
        let slot = known.count
        known[name] = slot
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
