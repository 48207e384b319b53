import TrammelConfig
import TrammelCore

extension ResourceSet {
    /// The names that endpoints of ServiceEntries bear: the hosts themselves where an entry resolved by DNS names no
    /// endpoints, else those of its endpoints, be they written in it or selected.
    ///
    /// A wildcard host cannot be asked for; what such an entry does without endpoints is the compiler's matter.
    var namesToResolve: WantedNames {
        var wanted = WantedNames()
        func add(_ names: [String], _ resolution: ServiceEntrySpec.Resolution) {
            wanted.names.formUnion(names)
            if resolution == .dnsRoundRobin { wanted.inOrder.formUnion(names) }
        }
        for entry in entries.values {
            guard case .serviceEntry(let spec) = entry.resource.spec,
                spec.resolution == .dns || spec.resolution == .dnsRoundRobin
            else { continue }
            if let selector = spec.workloadSelector {
                add(hosts(ofEntriesWith: selector, in: entry.resource.key.namespace), spec.resolution)
            } else if spec.endpoints.isEmpty {
                add(spec.hosts.filter { !$0.hasPrefix("*") }, spec.resolution)
            } else {
                add(spec.endpoints.compactMap(\.address.host), spec.resolution)
            }
        }
        return wanted
    }

    private func hosts(ofEntriesWith selector: [String: String], in namespace: String) -> [String] {
        entries.values.compactMap { entry in
            guard case .workloadEntry(let spec) = entry.resource.spec, entry.resource.key.namespace == namespace,
                selector.allSatisfy({ spec.labels[$0.key] == $0.value })
            else { return nil }
            return spec.address.host
        }
    }
}

extension WorkloadEntrySpec.Address {
    /// Nil for an address that needs no resolving.
    fileprivate var host: String? {
        if case .host(let name) = self { name } else { nil }
    }
}
