import TrammelConfig
import TrammelCore

/// The VirtualServices that apply to captured traffic, by the hosts that they name.
struct VirtualServices {
    struct Claim {
        let reference: ResourceReference
        let table: RouteTable
    }

    /// By `HostName.key`.
    private(set) var exact: [String: Claim] = [:]
    /// By what follows the `*.`; the empty name for `*`.
    private(set) var wildcards: [String: Claim] = [:]

    /// - Parameter resources: the oldest first; of two that name one host, that of the host's own namespace
    ///   holds, else the first.
    init(
        _ resources: [(resource: Resource, spec: VirtualServiceSpec)], memory: inout RouteMemory,
        services: [String: CompiledService], warnings: inout [CompileWarning]
    ) {
        for (resource, spec) in resources {
            guard spec.gateways.isEmpty || spec.gateways.contains("mesh"), !spec.http.isEmpty else { continue }
            let reference = ResourceReference(key: resource.key, location: resource.location)
            let claim = Claim(
                reference: reference, table: memory.table(reference, spec, services, &warnings))
            for host in spec.hosts {
                let key = HostName.key(of: host, namespace: resource.key.namespace)
                if let suffix = HostName.wildcardSuffix(key) {
                    VirtualServices.enter(claim, host, suffix, in: &wildcards, &warnings)
                } else if key.hasPrefix("*") {
                    warnings.append(
                        CompileWarning(
                            .withoutEffect, resource.key, resource.location,
                            "host \"\(host)\" stands for nothing; a wildcard is \"*\" or begins with \"*.\""))
                } else {
                    VirtualServices.enter(claim, host, key, in: &exact, &warnings)
                }
            }
        }
        memory.turn()
    }

    private static func enter(
        _ claim: Claim, _ host: String, _ key: String, in claims: inout [String: Claim],
        _ warnings: inout [CompileWarning]
    ) {
        guard let first = claims[key] else {
            claims[key] = claim
            return
        }
        guard first.reference.key != claim.reference.key else { return }
        // `reviews.shop` lives in `shop`.
        let home = key.split(separator: ".").last.map(String.init)
        let isAtHome = claim.reference.key.namespace == home && first.reference.key.namespace != home
        let (winner, loser) = isAtHome ? (claim, first) : (first, claim)
        claims[key] = winner
        warnings.append(
            CompileWarning(
                .conflict, loser.reference.key, loser.reference.location,
                "host \"\(host)\" is routed by \(winner.reference) already; for this host these routes are passed "
                    + "over. Put them into one VirtualService"))
    }

    /// The routes for a service: of its own name, else of the longest wildcard that stands for it.
    func table(for service: CompiledService) -> RouteTable? {
        if let claim = exact[service.hostKey] { return claim.table }
        guard !wildcards.isEmpty else { return nil }
        return HostName.suffixes(of: service.identity.host).lazy.compactMap { wildcards[$0]?.table }.first
    }
}
