import TrammelConfig
import TrammelControl
import TrammelControlAPI
import TrammelCore

/// The stored resources: listed, watched, written one at a time.
extension AgentService {
    func resources(_ query: ResourceQuery) async throws -> ItemList<StoredResource> {
        let set = await mesh.set
        let found = set.listed(query.isWanted)
        if found.isEmpty, let name = query.name {
            throw TrammelError(
                .notFound, code: "resource-unknown",
                "there is no \(query.kind ?? "resource") \(query.namespace ?? "default")/\(name)",
                hint: "`trammel get` lists what there is")
        }
        return ItemList(found.map(StoredResource.init), resourceVersion: String(set.version))
    }

    func watch(_ query: ResourceQuery, from version: UInt64?) async throws -> any EventSource<WatchEvent> {
        try await mesh.watch(query, from: version)
    }

    func put(_ request: PutRequest) async throws -> ResourceResult {
        try await counted(request.dryRun) { try await mesh.put(request) }
    }

    func deleteResource(_ resource: ResourceName, _ condition: WriteCondition) async throws -> ResourceResult {
        guard let kind = ResourceKind(rawValue: resource.kind) else {
            throw TrammelError(
                .notFound, code: "resource-unknown", "there is no \(resource)",
                hint: "\(resource.kind) is not built yet, so none can be stored")
        }
        let key = ResourceKey(kind: kind, namespace: resource.namespace, name: resource.name)
        return try await counted { try await mesh.delete(key, condition) }
    }
}

extension ResourceQuery {
    func isWanted(_ key: ResourceKey) -> Bool {
        (kind == nil || kind == key.kind.rawValue) && (namespace == nil || namespace == key.namespace)
            && (name == nil || name == key.name)
    }
}

extension StoredResource {
    init(_ entry: ResourceSet.Entry) {
        self.init(
            origin: entry.origin == .api ? .api : .directory, source: SourceReference(entry.resource.location),
            document: JSONValue(entry.resource.rendered(version: entry.version)))
    }
}
