import TrammelConfig

/// The DestinationRules by the hosts that they name.
struct DestinationRules {
    struct Rule {
        let reference: ResourceReference
        let spec: DestinationRuleSpec
        let age: UInt64
        let hostKey: String

        init(_ reference: ResourceReference, _ spec: DestinationRuleSpec, age: UInt64) {
            self.reference = reference
            self.spec = spec
            self.age = age
            hostKey = HostName.key(of: spec.host, namespace: reference.key.namespace)
        }
    }

    /// What holds for one service: the settings of the first rule, the subsets of all rules that were found together.
    struct Effective {
        var reference: ResourceReference?
        var policy = TrafficPolicy()
        var subsets: [(subset: DestinationRuleSpec.Subset, reference: ResourceReference)] = []

        /// The settings of a port, and who set them: port-level ones replace the destination's, a subset's override
        /// field by field, a subset's own port-level ones replace it all.
        func settings(port: UInt16, subset: DestinationRuleSpec.Subset?) -> TrafficPolicy.Settings {
            var settings = policy.portLevel[port] ?? policy.settings
            guard let subset else { return settings }
            if let replacement = subset.trafficPolicy.portLevel[port] { return replacement }
            settings.loadBalancer = subset.trafficPolicy.settings.loadBalancer ?? settings.loadBalancer
            settings.connectTimeout = subset.trafficPolicy.settings.connectTimeout ?? settings.connectTimeout
            return settings
        }

        /// Whether the same rules make it up.
        func isFrom(sameAs other: Effective) -> Bool {
            reference == other.reference && subsets.map(\.reference) == other.subsets.map(\.reference)
        }
    }

    /// The oldest first.
    private(set) var byHost: [String: [Rule]] = [:]

    mutating func insert(_ rule: Rule) {
        var rules = byHost[rule.hostKey] ?? []
        rules.insert(rule, at: rules.firstIndex { $0.age > rule.age } ?? rules.endIndex)
        byHost[rule.hostKey] = rules
    }

    mutating func remove(_ key: ResourceKey, hostKey: String) {
        byHost[hostKey]?.removeAll { $0.reference.key == key }
        if byHost[hostKey]?.isEmpty == true { byHost[hostKey] = nil }
    }

    /// What holds for a service: an exact host before wildcards, the longest wildcard first; among those the rules of
    /// the caller's namespace, else of the service's own, else those of the first other one.
    /// - Parameter namespace: the callers', or nil for those who see what everybody sees.
    func effective(
        for service: ServiceShape, from namespace: String? = nil, warnings: inout [CompileWarning]
    ) -> Effective {
        guard !byHost.isEmpty else { return Effective() }
        func visible(_ key: String) -> [Rule]? {
            let rules = byHost[key]?.filter { rule in
                namespace.map { rule.spec.exportTo.includes($0) } ?? (rule.spec.exportTo == .everywhere)
            }
            return rules?.isEmpty == false ? rules : nil
        }
        let exact = visible(service.hostKey)
        let wildcards = HostName.suffixes(of: service.identity.host).lazy.map { $0.isEmpty ? "*" : "*.\($0)" }
        guard let found = exact ?? wildcards.lazy.compactMap({ visible($0) }).first else { return Effective() }
        let own = service.identity.namespace
        let homes = Set(found.map(\.reference.key.namespace))
        let home =
            namespace.flatMap { homes.contains($0) ? $0 : nil }
            ?? (homes.contains(own) ? own : found[0].reference.key.namespace)
        var effective = Effective()
        for rule in found {
            guard rule.reference.key.namespace == home else {
                if exact != nil {
                    warnings.append(
                        CompileWarning(
                            .conflict, rule.reference.key, rule.reference.location,
                            "\(service.identity.host) has DestinationRules in several namespaces; those of \(home) "
                                + "hold, this one is passed over"))
                }
                continue
            }
            effective.merge(rule, service.identity, &warnings)
        }
        return effective
    }
}

extension DestinationRules.Effective {
    fileprivate mutating func merge(
        _ rule: DestinationRules.Rule, _ service: ServiceIdentity, _ warnings: inout [CompileWarning]
    ) {
        let key = rule.reference.key
        if let reference {
            if rule.spec.trafficPolicy != TrafficPolicy() {
                warnings.append(
                    CompileWarning(
                        .conflict, key, rule.reference.location,
                        "\(service.host) has its trafficPolicy from \(reference) already; only the subsets of this "
                            + "one are added"))
            }
        } else {
            reference = rule.reference
            policy = rule.spec.trafficPolicy
        }
        for subset in rule.spec.subsets {
            if let first = subsets.first(where: { $0.subset.name == subset.name }) {
                warnings.append(
                    CompileWarning(
                        .conflict, key, subset.location,
                        "subset \"\(subset.name)\" of \(service.host) is defined at \(first.reference.location) "
                            + "already; this definition is passed over"))
                continue
            }
            subsets.append((subset, ResourceReference(key: key, location: subset.location)))
        }
    }
}
