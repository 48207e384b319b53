import TrammelConfig

/// Which VirtualService routes which host, where several may claim one.
struct RouteClaims {
    /// By `HostName.key`.
    private(set) var exact: [String: ResourceKey] = [:]
    /// By what follows the `*.`; the empty name for `*`.
    private(set) var wildcards: [String: ResourceKey] = [:]

    /// - Parameter entries: in any order; of two that name one host, that of the host's own namespace holds, else the
    ///   older.
    init(_ entries: [RouteBook.Entry], warnings: inout [CompileWarning]) {
        var claimants: [ResourceKey: RouteBook.Entry] = [:]
        for entry in entries.sorted(by: { $0.age < $1.age }) {
            for (key, host) in zip(entry.hostKeys, entry.spec.hosts) {
                claimants[entry.reference.key] = entry
                if let suffix = HostName.wildcardSuffix(key) {
                    RouteClaims.enter(entry, host, suffix, in: &wildcards, claimants, &warnings)
                } else if key.hasPrefix("*") {
                    warnings.append(
                        CompileWarning(
                            .withoutEffect, entry.reference.key, entry.reference.location,
                            "host \"\(host)\" stands for nothing; a wildcard is \"*\" or begins with \"*.\""))
                } else {
                    RouteClaims.enter(entry, host, key, in: &exact, claimants, &warnings)
                }
            }
        }
    }

    init() {}

    private static func enter(
        _ claim: RouteBook.Entry, _ host: String, _ key: String, in claims: inout [String: ResourceKey],
        _ claimants: [ResourceKey: RouteBook.Entry], _ warnings: inout [CompileWarning]
    ) {
        guard let first = claims[key].flatMap({ claimants[$0] }) else {
            claims[key] = claim.reference.key
            return
        }
        guard first.reference.key != claim.reference.key else { return }
        // `reviews.shop` lives in `shop`.
        let home = key.split(separator: ".").last.map(String.init)
        let isAtHome = claim.reference.key.namespace == home && first.reference.key.namespace != home
        let (winner, loser) = isAtHome ? (claim, first) : (first, claim)
        claims[key] = winner.reference.key
        warnings.append(
            CompileWarning(
                .conflict, loser.reference.key, loser.reference.location,
                "host \"\(host)\" is routed by \(winner.reference) already; for this host these routes are passed "
                    + "over. Put them into one VirtualService"))
    }

    /// The VirtualService for a service: of its own name, else of the longest wildcard that stands for it.
    func owner(of service: CompiledService) -> ResourceKey? {
        if let owner = exact[service.hostKey] { return owner }
        guard !wildcards.isEmpty else { return nil }
        // A wildcard's own suffix stands for it, too.
        if let suffix = HostName.wildcardSuffix(service.hostKey), let owner = wildcards[suffix] { return owner }
        return HostName.suffixes(of: service.identity.host).lazy.compactMap { wildcards[$0] }.first
    }

    func isSame(as other: RouteClaims) -> Bool { exact == other.exact && wildcards == other.wildcards }
}
