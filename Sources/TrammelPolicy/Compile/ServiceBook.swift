import TrammelConfig
import TrammelCore

/// The services with what was made of them, by their owners, and who hangs on what.
struct ServiceBook {
    private struct Claim {
        let shape: ServiceShape
        let age: UInt64
    }

    /// Those that want to be one owner: hosts of several ServiceEntries. The oldest first; it is the one that counts.
    private var claims: [ResourceKey: [Claim]] = [:]
    private(set) var shapes: [ResourceKey: ServiceShape] = [:]
    private(set) var compiled: [ResourceKey: CompiledService] = [:]
    /// The owners in order, so that what is compiled does not depend on when they came.
    private(set) var order: [ResourceKey] = []
    let clusterSlots = ClusterSlots()
    private var byHost: [String: [ResourceKey]] = [:]
    /// The hosts that several claim, and those that only some namespaces see: few, and asked for at each compile.
    private var contested: Set<String> = []
    private var hidden: Set<ResourceKey> = []
    private var selectors = SelectorIndex<ResourceKey>()
    private var byName: [String: Set<ResourceKey>] = [:]
    private var warned: Set<ResourceKey> = []

    mutating func enter(_ shape: ServiceShape, age: UInt64) {
        let owner = shape.owner
        var rivals = claims[owner] ?? []
        rivals.insert(Claim(shape: shape, age: age), at: rivals.firstIndex { $0.age > age } ?? rivals.endIndex)
        claims[owner] = rivals
        settle(owner)
    }

    mutating func leave(_ shape: ServiceShape) {
        let owner = shape.owner
        claims[owner]?.removeAll { $0.shape.origin.key == shape.origin.key }
        if claims[owner]?.isEmpty == true { claims[owner] = nil }
        settle(owner)
    }

    private mutating func settle(_ owner: ResourceKey) {
        let shape = claims[owner]?.first?.shape
        let former = shapes[owner]
        guard former != shape else { return }
        if let former {
            unlink(former)
            if shape == nil {
                shapes[owner] = nil
                order.removeAll(at: owner)
            }
        }
        guard let shape else { return }
        if former == nil { order.insert(inOrder: owner) }
        shapes[owner] = shape
        link(shape)
    }

    private mutating func link(_ shape: ServiceShape) {
        let owner = shape.owner
        byHost[shape.hostKey, default: []].append(owner)
        if byHost[shape.hostKey]?.count == 2 { contested.insert(shape.hostKey) }
        if shape.exportTo != .everywhere { hidden.insert(owner) }
        if case .selected(let labels) = shape.backing {
            selectors.insert(owner, labels, in: shape.identity.namespace)
        }
        for name in shape.resolvedNames { byName[name, default: []].insert(owner) }
    }

    private mutating func unlink(_ shape: ServiceShape) {
        let owner = shape.owner
        byHost[shape.hostKey]?.removeAll { $0 == owner }
        if byHost[shape.hostKey]?.count == 1 { contested.remove(shape.hostKey) }
        if byHost[shape.hostKey]?.isEmpty == true { byHost[shape.hostKey] = nil }
        hidden.remove(owner)
        if case .selected(let labels) = shape.backing {
            selectors.remove(owner, labels, in: shape.identity.namespace)
        }
        for name in shape.resolvedNames {
            byName[name]?.remove(owner)
            if byName[name]?.isEmpty == true { byName[name] = nil }
        }
    }

    mutating func keep(_ service: CompiledService) {
        let owner = service.shape.owner
        compiled[owner] = service
        if service.warnings.isEmpty { warned.remove(owner) } else { warned.insert(owner) }
    }

    mutating func drop(_ owner: ResourceKey) {
        compiled[owner] = nil
        warned.remove(owner)
    }

    var warnings: [CompileWarning] { warned.flatMap { compiled[$0]?.warnings ?? [] } }

    func selecting(_ item: some Selectable) -> [ResourceKey] { selectors.selecting(item) }

    func owners(ofHost key: String) -> [ResourceKey] { byHost[key] ?? [] }

    var namesToResolve: Dictionary<String, Set<ResourceKey>>.Keys { byName.keys }

    func owners(hangingOn name: String) -> Set<ResourceKey> { byName[name] ?? [] }

    /// Those with an endpoint, or an address for one, among these.
    func bearing(_ addresses: Set<IPAddress>) -> [ResourceKey] {
        guard !addresses.isEmpty else { return [] }
        return compiled.compactMap { owner, service in
            let bears = service.candidates.joined().contains { candidate in
                addresses.contains(candidate.endpoint.address.address)
                    || candidate.endpoint.addresses.contains(where: addresses.contains)
            }
            return bears ? owner : nil
        }
    }

    /// The service that everybody means by a host: a Service before a ServiceEntry, else the older.
    func common(_ hostKey: String) -> CompiledService? { commonOwner(hostKey).flatMap { compiled[$0] } }

    private func commonOwner(_ hostKey: String) -> ResourceKey? {
        guard let owners = byHost[hostKey] else { return nil }
        if owners.count == 1 { return shapes[owners[0]]?.exportTo == .everywhere ? owners[0] : nil }
        return owners.filter { shapes[$0]?.exportTo == .everywhere }.min { rank($0) < rank($1) }
    }

    private func rank(_ owner: ResourceKey) -> (Int, UInt64) {
        (owner.kind == .service ? 0 : 1, claims[owner]?.first?.age ?? .max)
    }

    /// Whether nobody but its own namespace means this service by its host.
    func isOvershadowed(_ owner: ResourceKey, _ hostKey: String) -> Bool {
        contested.contains(hostKey) && commonOwner(hostKey) != owner
    }

    /// Those whose host everybody else takes for another service, though they are exported to everybody.
    var overshadowed: [CompiledService] {
        contested.flatMap { hostKey in
            (byHost[hostKey] ?? []).filter { shapes[$0]?.exportTo == .everywhere && isOvershadowed($0, hostKey) }
        }.sorted().compactMap { compiled[$0] }
    }

    /// The services that only some namespaces see.
    var restricted: [CompiledService] {
        hidden.sorted().compactMap { compiled[$0] }
    }

    func directory(_ hints: HintBudget) -> ServiceDirectory {
        ServiceDirectory(common: { self.common($0) }, everyone: { compiled.values }, hints: hints)
    }
}

extension CompiledService {
    /// Whether the tables of addresses and names that hold `other` hold this one as well.
    func hasLayout(of other: CompiledService) -> Bool {
        hostKey == other.hostKey && addresses == other.addresses && shape.blocks == other.shape.blocks
            && shape.exportTo == other.shape.exportTo && ports.map(\.spec.port) == other.ports.map(\.spec.port)
            && ports.map(\.spec.appProtocol) == other.ports.map(\.spec.appProtocol)
            && (resolvedName == nil) == (other.resolvedName == nil)
    }
}

extension [ResourceKey] {
    /// Where `key` is, or belongs.
    private func place(of key: ResourceKey) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if self[middle] < key { low = middle + 1 } else { high = middle }
        }
        return low
    }

    fileprivate mutating func insert(inOrder key: ResourceKey) { insert(key, at: place(of: key)) }

    fileprivate mutating func removeAll(at key: ResourceKey) {
        let place = place(of: key)
        if place < count, self[place] == key { remove(at: place) }
    }
}
