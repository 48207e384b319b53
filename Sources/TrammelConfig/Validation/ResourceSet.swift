/// Every resource there is, as one value: applying a batch yields another set or an error, and never half of either.
package struct ResourceSet: Sendable {
    /// Who keeps a resource. The directory wins over the API.
    package enum Origin: String, Sendable { case api, directory }

    package struct Entry: Sendable {
        package let resource: Resource
        package let origin: Origin
        /// Smaller is older; never changes while the resource lives. Between two that contradict, the older holds.
        package let created: UInt64
        /// The version of the set in which it last changed: the resource's `resourceVersion`.
        package let version: UInt64

        package init(resource: Resource, origin: Origin, created: UInt64, version: UInt64) {
            self.resource = resource
            self.origin = origin
            self.created = created
            self.version = version
        }
    }

    package private(set) var entries = ShardedMap<ResourceKey, Entry>()
    /// Who names whom, kept in step with `entries`.
    private(set) var index = SetIndex()
    /// Counts the changes.
    package private(set) var version: UInt64
    private var nextCreated: UInt64

    package init() {
        version = 0
        nextCreated = 1
    }

    /// As the store gives it back.
    package init(entries: [Entry], version: UInt64) {
        self.version = max(version, entries.map(\.version).max() ?? 0)
        nextCreated = (entries.map(\.created).max() ?? 0) + 1
        for entry in entries.sorted(by: { $0.created < $1.created }) where self.entries[entry.resource.key] == nil {
            self.entries[entry.resource.key] = entry
            index.add(entry)
        }
    }

    package subscript(key: ResourceKey) -> Resource? { entries[key]?.resource }

    /// The oldest first, so that the first of two that contradict is the one that holds.
    package var resources: [Resource] { byAge.map(\.resource) }

    var byAge: [Entry] { entries.values.sorted { $0.created < $1.created } }

    /// In the order of listings: by kind, namespace, name.
    package func listed(_ isWanted: (ResourceKey) -> Bool = { _ in true }) -> [Entry] {
        entries.values.filter { isWanted($0.resource.key) }.sorted { $0.resource.key < $1.resource.key }
    }

    mutating func put(_ resource: Resource, origin: Origin, changed: Bool) {
        let old = entries[resource.key]
        let entry = Entry(
            resource: resource, origin: origin, created: old?.created ?? nextCreated,
            version: changed ? version : old?.version ?? version)
        if let old { index.remove(old) } else { nextCreated += 1 }
        entries[resource.key] = entry
        index.add(entry)
    }

    mutating func remove(_ key: ResourceKey) {
        guard let old = entries[key] else { return }
        index.remove(old)
        entries[key] = nil
    }

    mutating func advance() { version += 1 }
}
