package import TrammelConfig

/// What has changed among the resources since the last compile.
package struct ResourceChanges: Sendable {
    /// New ones and those that are not what they were; of new ones the older first.
    package var written: [Resource]
    package var removed: [ResourceKey]

    package init(written: [Resource] = [], removed: [ResourceKey] = []) {
        self.written = written
        self.removed = removed
    }
}

/// The resources as the compiler knows them, with their order of age: of two that say something about one host the
/// older holds.
struct Inventory {
    struct Item {
        var reference: ResourceReference
        var spec: Resource.Spec
        var labels: [String: String]
        /// Smaller is older; stays while the resource does.
        var age: UInt64
    }

    private(set) var items: [ResourceKey: Item] = [:]
    private(set) var meshConfigs: Set<ResourceKey> = []
    private var nextAge: UInt64 = 0

    subscript(key: ResourceKey) -> Item? { items[key] }

    mutating func put(_ resource: Resource) {
        let former = items[resource.key]
        items[resource.key] = Item(
            reference: ResourceReference(key: resource.key, location: resource.location), spec: resource.spec,
            labels: resource.labels, age: former?.age ?? nextAge)
        if former == nil { nextAge += 1 }
        if resource.key.kind == .meshConfig { meshConfigs.insert(resource.key) }
    }

    mutating func remove(_ key: ResourceKey) {
        items[key] = nil
        meshConfigs.remove(key)
    }

    /// What turns the resources that are known into these, the oldest first. Where they are older and younger than each
    /// other in another way than is known, all of them are taken for new.
    func changes(to resources: [Resource]) -> ResourceChanges {
        var last: UInt64?
        var hasNew = false
        var isInOrder = true
        for resource in resources {
            guard let age = items[resource.key]?.age else {
                hasNew = true
                continue
            }
            if hasNew || last.map({ $0 > age }) ?? false { isInOrder = false }
            last = age
        }
        guard isInOrder else { return ResourceChanges(written: resources, removed: Array(items.keys)) }
        let wanted = Set(resources.map(\.key))
        return ResourceChanges(
            written: resources.filter { resource in
                guard let item = items[resource.key] else { return true }
                return item.reference.location != resource.location || item.spec != resource.spec
                    || item.labels != resource.labels
            },
            removed: items.keys.filter { !wanted.contains($0) })
    }
}
