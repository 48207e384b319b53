import TrammelCore

/// The names by which the resources of a set refer to each other, kept up to date by one resource at a time.
///
/// Claimants and offers stand in the order of age, the oldest first, so that the first is the one that holds.
/// It knows names and keys only; what a resource says is looked up in the set.
struct SetIndex: Sendable {
    /// Somebody who says something about a host or an address.
    struct Claimant: Sendable, Equatable {
        let key: ResourceKey
        let created: UInt64
        let exportTo: ExportTo
    }

    /// A host, and who has it: a Service or a ServiceEntry.
    struct Offer: Sendable, Equatable {
        let key: ResourceKey
        let created: UInt64
        let exportTo: ExportTo
        let ports: [UInt16]
    }

    struct AddressClaim: Hashable, Sendable {
        let address: IPAddress
        let port: UInt16
        let transport: ServiceSpec.Transport
    }

    /// One label of a selector, or a label's key alone.
    struct Label: Hashable, Sendable {
        let namespace: String
        let key: String
        let value: String?
    }

    struct Selection: Sendable, Equatable {
        let key: ResourceKey
        let labels: [String: String]
    }

    private(set) var offers = ShardedMap<ServiceHost, [Offer]>()
    /// The names of the Services, by namespace.
    private(set) var names = ShardedMap<String, [String]>()
    /// The hosts of ServiceEntries, without wildcards.
    private(set) var outside: [String] = []
    /// VirtualServices by each of their hosts, DestinationRules by theirs. A host that may mean either of two stands
    /// under both; `SetCheck.resolve` tells which.
    private(set) var routed = ShardedMap<ServiceHost, [Claimant]>()
    private(set) var ruled = ShardedMap<ServiceHost, [Claimant]>()
    /// Every resource that names a host, as its own or as a destination.
    private(set) var mentions = ShardedMap<ServiceHost, [ResourceKey]>()
    private(set) var addresses = ShardedMap<AddressClaim, [Claimant]>()
    private(set) var meshes: [Claimant] = []
    /// Those that delegate to a VirtualService, which may not exist.
    private(set) var delegating = ShardedMap<ResourceKey, [ResourceKey]>()
    /// The EndpointSlices of a Service, which may not exist.
    private(set) var slices = ShardedMap<ResourceKey, [ResourceKey]>()
    /// By the first of a selector's labels.
    private(set) var selections = ShardedMap<Label, [Selection]>()
    /// The values that selectors of a namespace ask of a label.
    private(set) var selected = ShardedMap<Label, [String]>()

    // MARK: Facts of one resource

    /// The hosts that a resource has.
    static func hosts(of resource: Resource) -> [ServiceHost] {
        switch resource.spec {
        case .service: [ServiceHost(service: resource.key)]
        case .serviceEntry(let spec): spec.hosts.map { ServiceHost($0, inNamespace: resource.key.namespace) }
        default: []
        }
    }

    static func offer(of entry: ResourceSet.Entry) -> Offer? {
        let (key, created) = (entry.resource.key, entry.created)
        switch entry.resource.spec {
        case .service(let spec):
            return Offer(key: key, created: created, exportTo: spec.exportTo, ports: spec.ports.map(\.port))
        case .serviceEntry(let spec):
            return Offer(key: key, created: created, exportTo: spec.exportTo, ports: spec.ports.map(\.port))
        default: return nil
        }
    }

    /// What `written` may mean in a namespace: `reviews.shop` is the service of that namespace where there is one,
    /// else a name of the outside world.
    static func meanings(of written: String, in namespace: String) -> [ServiceHost] {
        let host = ServiceHost(written, inNamespace: namespace)
        let inMesh = ServiceHost("\(written).svc", inNamespace: namespace)
        return inMesh.service == nil || inMesh == host ? [host] : [host, inMesh]
    }

    static func destinations(of spec: VirtualServiceSpec) -> [Destination] {
        var all: [Destination] = []
        for route in spec.http {
            if case .route(let weighted) = route.action { all += weighted.map(\.destination) }
        }
        for route in spec.tls + spec.tcp { all += route.destinations.map(\.destination) }
        return all
    }

    static func delegates(of spec: VirtualServiceSpec) -> Set<ResourceKey> {
        var keys: Set<ResourceKey> = []
        for route in spec.http {
            if case .delegate(let delegate) = route.action { keys.insert(delegate.key) }
        }
        return keys
    }

    static func service(of slice: Resource) -> ResourceKey? {
        guard case .endpointSlice(let spec) = slice.spec else { return nil }
        return ResourceKey(kind: .service, namespace: slice.key.namespace, name: spec.service)
    }

    static func claims(of resource: Resource) -> [(claim: AddressClaim, port: ServiceSpec.Port)] {
        let own: [IPAddress]
        let ports: [ServiceSpec.Port]
        switch resource.spec {
        case .service(let spec):
            guard case .addresses(let addresses) = spec.clusterIP else { return [] }
            (own, ports) = (addresses, spec.ports)
        case .serviceEntry(let spec):
            own = spec.addresses.compactMap { $0.prefixLength == $0.base.family.bits ? $0.base : nil }
            ports = spec.ports
        default: return []
        }
        return own.flatMap { address in
            ports.map { (AddressClaim(address: address, port: $0.port, transport: $0.transport), $0) }
        }
    }

    private static func selector(of resource: Resource) -> [String: String]? {
        switch resource.spec {
        case .service(let spec): spec.selector.isEmpty ? nil : spec.selector
        case .serviceEntry(let spec): spec.workloadSelector
        default: nil
        }
    }

    private static func mentioned(by resource: Resource) -> Set<ServiceHost> {
        let namespace = resource.key.namespace
        let written: [String] =
            switch resource.spec {
            case .virtualService(let spec): spec.hosts + destinations(of: spec).map(\.host)
            case .destinationRule(let spec): [spec.host]
            default: []
            }
        return Set(written.flatMap { meanings(of: $0, in: namespace) })
    }

    // MARK: Upkeep

    mutating func add(_ entry: ResourceSet.Entry) {
        let resource = entry.resource
        let key = resource.key
        func claimant(_ exportTo: ExportTo) -> Claimant {
            Claimant(key: key, created: entry.created, exportTo: exportTo)
        }
        if let offer = Self.offer(of: entry) {
            for host in Self.hosts(of: resource) { offers[host, default: []].insert(offer, byAge: \.created) }
            for (claim, _) in Self.claims(of: resource) {
                addresses[claim, default: []].insert(claimant(offer.exportTo), byAge: \.created)
            }
        }
        for host in Self.mentioned(by: resource) { mentions[host, default: []].append(key) }
        if let labels = Self.selector(of: resource) {
            selections[Self.first(of: labels, key.namespace), default: []].append(Selection(key: key, labels: labels))
            for (name, value) in labels {
                selected[Label(namespace: key.namespace, key: name, value: nil), default: []].insert(inOrder: value)
            }
        }
        switch resource.spec {
        case .service: names[key.namespace, default: []].insert(inOrder: key.name)
        case .serviceEntry(let spec):
            for host in spec.hosts where !host.hasPrefix("*") { outside.insert(inOrder: host) }
        case .virtualService(let spec):
            let own = claimant(spec.exportTo)
            for host in Self.routedHosts(spec, key) { routed[host, default: []].insert(own, byAge: \.created) }
            for child in Self.delegates(of: spec) { delegating[child, default: []].append(key) }
        case .destinationRule(let spec):
            for host in Self.meanings(of: spec.host, in: key.namespace) {
                ruled[host, default: []].insert(claimant(spec.exportTo), byAge: \.created)
            }
        case .endpointSlice:
            if let service = Self.service(of: resource) { slices[service, default: []].append(key) }
        case .meshConfig: meshes.insert(claimant(.everywhere), byAge: \.created)
        case .workloadEntry, .workload: break
        }
    }

    mutating func remove(_ entry: ResourceSet.Entry) {
        let resource = entry.resource
        let key = resource.key
        for host in Self.hosts(of: resource) { offers.removeAll(host) { $0.key == key } }
        for (claim, _) in Self.claims(of: resource) { addresses.removeAll(claim) { $0.key == key } }
        for host in Self.mentioned(by: resource) { mentions.removeAll(host) { $0 == key } }
        if let labels = Self.selector(of: resource) {
            selections.removeAll(Self.first(of: labels, key.namespace)) { $0.key == key }
            for (name, value) in labels {
                selected.remove(Label(namespace: key.namespace, key: name, value: nil), value)
            }
        }
        switch resource.spec {
        case .service: names.remove(key.namespace, key.name)
        case .serviceEntry(let spec):
            for host in spec.hosts { outside.remove(inOrder: host) }
        case .virtualService(let spec):
            for host in Self.routedHosts(spec, key) { routed.removeAll(host) { $0.key == key } }
            for child in Self.delegates(of: spec) { delegating.removeAll(child) { $0 == key } }
        case .destinationRule(let spec):
            for host in Self.meanings(of: spec.host, in: key.namespace) { ruled.removeAll(host) { $0.key == key } }
        case .endpointSlice:
            if let service = Self.service(of: resource) { slices.removeAll(service) { $0 == key } }
        case .meshConfig: meshes.removeAll { $0.key == key }
        case .workloadEntry, .workload: break
        }
    }

    private static func routedHosts(_ spec: VirtualServiceSpec, _ key: ResourceKey) -> Set<ServiceHost> {
        spec.appliesToMesh ? Set(spec.hosts.flatMap { meanings(of: $0, in: key.namespace) }) : []
    }

    /// The empty selector, which finds everything, stands under no label.
    static func first(of labels: [String: String], _ namespace: String) -> Label {
        let first = labels.min { $0.key < $1.key }
        return Label(namespace: namespace, key: first?.key ?? "", value: first?.value)
    }
}

extension Array {
    /// Keeps the order of age. Nearly always the newest comes last.
    fileprivate mutating func insert(_ element: Element, byAge age: (Element) -> UInt64) {
        let own = age(element)
        let index = lastIndex { age($0) < own }.map { $0 + 1 } ?? 0
        insert(element, at: index)
    }
}

extension ShardedMap where Value: RangeReplaceableCollection {
    /// Drops the key once nothing is left under it.
    fileprivate mutating func removeAll(_ key: Key, where isGone: (Value.Element) -> Bool) {
        guard self[key] != nil else { return }
        self[key, default: Value()].removeAll(where: isGone)
        if self[key]?.isEmpty ?? false { self[key] = nil }
    }
}

extension ShardedMap where Value == [String] {
    fileprivate mutating func remove(_ key: Key, _ text: String) {
        guard self[key] != nil else { return }
        self[key, default: []].remove(inOrder: text)
        if self[key]?.isEmpty ?? false { self[key] = nil }
    }
}

/// Names in their order, so that which of two is the nearest does not depend on the history of the set.
extension [String] {
    private func place(of text: String) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if self[middle] < text { low = middle + 1 } else { high = middle }
        }
        return low
    }

    fileprivate mutating func insert(inOrder text: String) { insert(text, at: place(of: text)) }

    /// One of them, where there are several.
    fileprivate mutating func remove(inOrder text: String) {
        let place = place(of: text)
        if place < count, self[place] == text { remove(at: place) }
    }
}

extension Delegate {
    var key: ResourceKey { ResourceKey(kind: .virtualService, namespace: namespace, name: name) }
}
