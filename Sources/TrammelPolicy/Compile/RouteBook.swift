import TrammelConfig

/// The VirtualServices with what was made of them, kept while neither they nor a service that they lead to has changed.
struct RouteBook {
    struct Entry {
        let reference: ResourceReference
        let spec: VirtualServiceSpec
        let age: UInt64
        /// `HostName.key` of each host that it routes; none where it does not apply to captured traffic.
        let hostKeys: [String]
        let table: RouteTable
        let warnings: [CompileWarning]
        /// The services that it leads to, and the VirtualServices that it delegates to.
        fileprivate let destinations: Set<String>
        fileprivate let delegates: Set<ResourceKey>
    }

    private(set) var entries: [ResourceKey: Entry] = [:]
    private var leading: [String: Set<ResourceKey>] = [:]
    private var delegating: [ResourceKey: Set<ResourceKey>] = [:]

    /// Those that lead to one of these hosts, or delegate to one of these VirtualServices.
    func affected(by hosts: Set<String>, or routes: Set<ResourceKey>) -> Set<ResourceKey> {
        var affected: Set<ResourceKey> = []
        for host in hosts { affected.formUnion(leading[host] ?? []) }
        for key in routes { affected.formUnion(delegating[key] ?? []) }
        return affected
    }

    mutating func remove(_ key: ResourceKey) {
        guard let entry = entries.removeValue(forKey: key) else { return }
        for host in entry.destinations {
            leading[host]?.remove(key)
            if leading[host]?.isEmpty == true { leading[host] = nil }
        }
        for delegate in entry.delegates {
            delegating[delegate]?.remove(key)
            if delegating[delegate]?.isEmpty == true { delegating[delegate] = nil }
        }
    }

    mutating func put(
        _ item: Inventory.Item, _ spec: VirtualServiceSpec, _ inventory: Inventory, _ services: ServiceDirectory
    ) {
        let key = item.reference.key
        remove(key)
        let entry = RouteBook.compile(item, spec, inventory, services)
        entries[key] = entry
        for host in entry.destinations { leading[host, default: []].insert(key) }
        for delegate in entry.delegates { delegating[delegate, default: []].insert(key) }
    }

    /// Compiles without keeping: for those who see other services than most.
    static func compile(
        _ item: Inventory.Item, _ spec: VirtualServiceSpec, _ inventory: Inventory, _ services: ServiceDirectory
    ) -> Entry {
        let key = item.reference.key
        var delegates: Set<ResourceKey> = []
        for route in spec.http {
            guard case .delegate(let delegate) = route.action else { continue }
            delegates.insert(delegate.key)
        }
        var expanded = spec
        if !delegates.isEmpty {
            expanded.http = Delegation.expand(spec, in: key.namespace) { namespace, name in
                let delegate = ResourceKey(kind: .virtualService, namespace: namespace, name: name)
                guard case .virtualService(let child)? = inventory[delegate]?.spec else { return nil }
                return child
            }
        }
        var warnings: [CompileWarning] = []
        let table = RouteCompiler(services: services).compile(item.reference, expanded, warnings: &warnings)
        let destinations = expanded.http.flatMap(\.destinations) + (spec.tls + spec.tcp).flatMap(\.destinations)
        let hostKeys = spec.appliesToMesh ? spec.hosts.map { HostName.key(of: $0, namespace: key.namespace) } : []
        return Entry(
            reference: item.reference, spec: spec, age: item.age, hostKeys: hostKeys, table: table, warnings: warnings,
            destinations: Set(destinations.map { HostName.key(of: $0.destination.host, namespace: key.namespace) }),
            delegates: delegates)
    }
}

extension Delegate {
    fileprivate var key: ResourceKey { ResourceKey(kind: .virtualService, namespace: namespace, name: name) }
}

extension HTTPRoute {
    fileprivate var destinations: [WeightedDestination] {
        if case .route(let destinations) = action { destinations } else { [] }
    }
}
