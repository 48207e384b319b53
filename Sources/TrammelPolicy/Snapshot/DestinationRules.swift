import TrammelConfig

/// The DestinationRules by the hosts that they name.
struct DestinationRules: Equatable {
    struct Rule: Equatable {
        let reference: ResourceReference
        let spec: DestinationRuleSpec
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
    }

    private var byHost: [String: [Rule]] = [:]

    /// - Parameter rules: the oldest first.
    init(_ rules: [Rule]) {
        for rule in rules {
            byHost[HostName.key(of: rule.spec.host, namespace: rule.reference.key.namespace), default: []].append(rule)
        }
    }

    /// The rules that name no wildcard, by the key of their host.
    var exact: some Sequence<(key: String, value: [Rule])> { byHost.lazy.filter { !$0.key.hasPrefix("*") } }

    /// What holds for a service: an exact host before wildcards, the longest wildcard first; among those the rules of
    /// the service's own namespace, else those of the first other namespace.
    func effective(for service: ServiceIdentity, warnings: inout [CompileWarning]) -> Effective {
        let key = HostName.key(of: service.host, namespace: service.namespace)
        let wildcards = HostName.suffixes(of: service.host).lazy.map { $0.isEmpty ? "*" : "*.\($0)" }
        let isPlain = byHost[key] != nil
        guard let found = byHost[key] ?? wildcards.lazy.compactMap({ byHost[$0] }).first else { return Effective() }
        let home =
            found.contains { $0.reference.key.namespace == service.namespace }
            ? service.namespace : found[0].reference.key.namespace
        var effective = Effective()
        for rule in found {
            guard rule.reference.key.namespace == home else {
                if isPlain {
                    warnings.append(
                        CompileWarning(
                            .conflict, rule.reference.key, rule.reference.location,
                            "\(service.host) has DestinationRules in several namespaces; those of \(home) hold, "
                                + "this one is passed over"))
                }
                continue
            }
            effective.merge(rule, service, &warnings)
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
