import TrammelConfig
import TrammelCore

/// What the compiler makes a service from: a Service, or one host of a ServiceEntry.
struct ServiceShape: Equatable {
    /// Where the endpoints come from.
    enum Backing: Equatable {
        /// Of the namespace's workloads and WorkloadEntries those with these labels, and for a Service its EndpointSlices.
        case selected([String: String])
        /// Written out.
        case listed([WorkloadEntrySpec])
        /// Every address that the host itself has in the DNS.
        case resolved
        /// Wherever the client was going.
        case asked
    }

    enum Address: Equatable {
        /// The store allocates one for each family.
        case allocated
        /// None: the name resolves to the endpoints' own addresses.
        case headless
        /// None: the resolver that the workload had asked answers for the name.
        case elsewhere
        case named([CIDR])
    }

    /// The resource.
    let origin: ResourceReference
    let identity: ServiceIdentity
    let ports: [ServiceSpec.Port]
    let address: Address
    let backing: Backing
    /// Only the first address of a name's latest answer counts.
    let takesFirstAddress: Bool
    let exportTo: ExportTo
    /// `HostName.key` of its host; begins with `*` for a wildcard.
    let hostKey: String

    /// Who owns its virtual addresses: the Service, or the host of a ServiceEntry under the entry's kind and namespace.
    var owner: ResourceKey { ServiceShape.owner(origin.key, host: identity.host) }

    static func == (a: ServiceShape, b: ServiceShape) -> Bool {
        a.origin == b.origin && a.identity.host == b.identity.host && a.ports == b.ports && a.address == b.address
            && a.backing == b.backing && a.takesFirstAddress == b.takesFirstAddress && a.exportTo == b.exportTo
    }

    static func owner(_ key: ResourceKey, host: String) -> ResourceKey {
        key.kind == .service ? key : key.owner(ofHost: host)
    }

    init(_ origin: ResourceReference, _ spec: ServiceSpec) {
        self.origin = origin
        identity = ServiceIdentity(name: origin.key.name, namespace: origin.key.namespace)
        ports = spec.ports
        address =
            switch spec.clusterIP {
            case .allocate: .allocated
            case .headless: .headless
            case .addresses(let addresses):
                .named(addresses.compactMap { CIDR($0, prefixLength: $0.family.bits) })
            }
        backing = .selected(spec.selector)
        takesFirstAddress = false
        exportTo = spec.exportTo
        hostKey = HostName.key(of: identity.host, namespace: identity.namespace)
    }

    init(_ origin: ResourceReference, _ spec: ServiceEntrySpec, host: String) {
        self.origin = origin
        identity = ServiceIdentity(host: host, name: host, namespace: origin.key.namespace)
        ports = spec.ports
        address =
            !spec.addresses.isEmpty
            ? .named(spec.addresses) : spec.allocatesAddress(for: host) ? .allocated : .elsewhere
        switch spec.resolution {
        case .none: backing = .asked
        case .static: backing = spec.workloadSelector.map(Backing.selected) ?? .listed(spec.endpoints)
        case .dns, .dnsRoundRobin:
            backing =
                spec.workloadSelector.map(Backing.selected)
                ?? (spec.endpoints.isEmpty ? .resolved : .listed(spec.endpoints))
        }
        takesFirstAddress = spec.resolution == .dnsRoundRobin
        exportTo = spec.exportTo
        hostKey = HostName.key(of: host, namespace: origin.key.namespace)
    }

    /// The names in the DNS that endpoints hang on.
    var resolvedNames: [String] {
        switch backing {
        case .resolved: [identity.host]
        case .listed(let entries):
            entries.compactMap { entry in
                if case .host(let name) = entry.address { name } else { nil }
            }
        case .selected, .asked: []
        }
    }

    /// The virtual addresses that are one address each.
    func addresses(allocated: VIPs) -> [IPAddress] {
        switch address {
        case .allocated: allocated
        case .headless, .elsewhere: []
        case .named(let blocks): blocks.filter(\.isSingle).map(\.base)
        }
    }

    /// The blocks of more than one.
    var blocks: [CIDR] {
        guard case .named(let blocks) = address else { return [] }
        return blocks.filter { !$0.isSingle }
    }
}

extension CIDR {
    var isSingle: Bool { prefixLength == base.family.bits }
}
