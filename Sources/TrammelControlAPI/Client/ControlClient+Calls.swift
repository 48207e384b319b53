/// The calls of the API, one each.
extension ControlClient {
    package func status() async throws -> AgentStatus {
        try await send(Call("GET", "v1", "status"), as: AgentStatus.self)
    }

    package func version() async throws -> AgentVersion {
        try await send(Call("GET", "v1", "version"), as: AgentVersion.self)
    }

    package func apply(_ request: ApplyRequest) async throws -> ApplyResult {
        let body = try ControlJSON.encode(request)
        // Told here: an agent that refuses in the middle of a body is heard only if the client is quick.
        guard body.count <= ApplyRequest.longestBody else {
            throw Problem(
                status: 413, code: "body-too-large", title: "Too large",
                detail: "as JSON the documents take \(body.count) bytes, the agent takes 32 MiB at once",
                hint: "apply them in parts")
        }
        return try await send(Call("POST", "v1", "apply", body: body, timeout: 120), as: ApplyResult.self)
    }

    package func resources(_ query: ResourceQuery) async throws -> [StoredResource] {
        var call = Call("GET", "v1", "resources")
        call.path += [query.kind, query.namespace, query.name].prefix { $0 != nil }.compactMap(\.self)
        return try await send(call, as: ItemList<StoredResource>.self).items
    }

    package func deleteResource(kind: String, namespace: String, name: String) async throws -> ResourceResult {
        try await send(Call("DELETE", "v1", "resources", kind, namespace, name), as: ResourceResult.self)
    }

    package func workloads() async throws -> [AttachedWorkload] {
        try await send(Call("GET", "v1", "workloads"), as: ItemList<AttachedWorkload>.self).items
    }

    package func attach(_ request: AttachRequest) async throws -> AttachResult {
        try await send(
            Call("POST", "v1", "workloads", body: ControlJSON.encode(request), timeout: 60), as: AttachResult.self)
    }

    package func detach(namespace: String, name: String) async throws -> DetachResult {
        try await send(Call("DELETE", "v1", "workloads", namespace, name, timeout: 60), as: DetachResult.self)
    }

    package func services() async throws -> [KnownService] {
        try await send(Call("GET", "v1", "services"), as: ItemList<KnownService>.self).items
    }

    package func endpoints() async throws -> [KnownEndpoint] {
        try await send(Call("GET", "v1", "endpoints"), as: ItemList<KnownEndpoint>.self).items
    }

    /// - Parameter workload: `namespace/name`, or nil for the connections of all.
    package func connections(workload: String? = nil) async throws -> [LiveConnection] {
        let query = workload.map { [(name: "workload", value: $0)] } ?? []
        return try await send(Call("GET", "v1", "connections", query: query), as: ItemList<LiveConnection>.self).items
    }

    package func killConnection(_ id: UInt64) async throws -> KilledConnection {
        try await send(Call("DELETE", "v1", "connections", String(id)), as: KilledConnection.self)
    }

    package func explain(_ request: ExplainRequest) async throws -> Explanation {
        try await send(Call("POST", "v1", "explain", body: ControlJSON.encode(request)), as: Explanation.self)
    }

    package func rules() async throws -> [InstalledRules] {
        try await send(Call("GET", "v1", "rules"), as: ItemList<InstalledRules>.self).items
    }
}
