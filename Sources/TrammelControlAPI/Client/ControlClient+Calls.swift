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
        try await list(query).items
    }

    /// As `resources`, with the version that a watch can go on from.
    package func list(_ query: ResourceQuery) async throws -> ItemList<StoredResource> {
        try await send(Call(listing: query), as: ItemList<StoredResource>.self)
    }

    /// What is there as `ADDED`, a `BOOKMARK`, then every change; from a version on, every change since. Ends when the
    /// agent does; an event of type `ERROR` ends it too.
    /// - Throws: a `Problem` of status 410 where the changes since `version` are not known any more: list again.
    package func watch(_ query: ResourceQuery, from version: String? = nil) async throws -> ControlStream<WatchEvent> {
        var call = Call(listing: query)
        call.query = [(name: "watch", value: "true")]
        if let version { call.query.append((name: "resourceVersion", value: version)) }
        return try await stream(call, as: WatchEvent.self)
    }

    package func put(_ request: PutRequest) async throws -> ResourceResult {
        let resource = request.resource
        var call = Call(
            "PUT", "v1", "resources", resource.kind, resource.namespace, resource.name,
            body: Array(request.document.text.utf8), timeout: 120)
        // JSON is YAML too.
        call.contentType = "application/yaml"
        call.condition = request.condition
        call.query = [("dryRun", request.dryRun), ("strict", request.strict), ("warnUnknown", request.warnUnknown)]
            .filter(\.1).map { (name: $0.0, value: "true") }
        return try await send(call, as: ResourceResult.self)
    }

    package func deleteResource(
        kind: String, namespace: String, name: String, _ condition: WriteCondition = .always
    ) async throws -> ResourceResult {
        var call = Call("DELETE", "v1", "resources", kind, namespace, name)
        call.condition = condition
        return try await send(call, as: ResourceResult.self)
    }

    package func workloads() async throws -> [AttachedWorkload] {
        try await send(Call("GET", "v1", "workloads"), as: ItemList<AttachedWorkload>.self).items
    }

    package func attach(_ request: AttachRequest) async throws -> AttachResult {
        try await send(
            Call("POST", "v1", "workloads", body: ControlJSON.encode(request), timeout: 60), as: AttachResult.self)
    }

    package func attach(asDeclared target: DeclaredTarget) async throws -> AttachResult {
        try await send(
            Call("POST", "v1", "workloads", "declared", body: ControlJSON.encode(target), timeout: 60),
            as: AttachResult.self)
    }

    /// - Parameter now: ends the connections that are under way.
    package func detach(namespace: String, name: String, now: Bool = false) async throws -> DetachResult {
        var call = Call("DELETE", "v1", "workloads", namespace, name, timeout: 60)
        if now { call.query = [(name: "now", value: "true")] }
        return try await send(call, as: DetachResult.self)
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

    /// - Parameter workload: `namespace/name`, or nil for those of all.
    package func flows(workload: String? = nil) async throws -> [UncapturedFlow] {
        let query = workload.map { [(name: "workload", value: $0)] } ?? []
        return try await send(Call("GET", "v1", "flows", query: query), as: ItemList<UncapturedFlow>.self).items
    }

    package func endFlow(_ id: UInt64) async throws -> KilledConnection {
        try await send(Call("DELETE", "v1", "flows", String(id)), as: KilledConnection.self)
    }

    package func doctor() async throws -> DoctorReport {
        try await send(Call("GET", "v1", "doctor", timeout: 120), as: DoctorReport.self)
    }

    package func explain(_ request: ExplainRequest) async throws -> Explanation {
        try await send(Call("POST", "v1", "explain", body: ControlJSON.encode(request)), as: Explanation.self)
    }

    package func rules() async throws -> [InstalledRules] {
        try await send(Call("GET", "v1", "rules"), as: ItemList<InstalledRules>.self).items
    }

    /// What an attach would put into the kernel; nothing is changed.
    package func rules(foreseeing request: AttachRequest) async throws -> RulesPreview {
        try await send(
            Call("POST", "v1", "rules", body: ControlJSON.encode(request), timeout: 60), as: RulesPreview.self)
    }

    /// - Parameter window: a duration as `5m`; nil for the agent's default.
    package func graph(window: String? = nil) async throws -> TrafficGraph {
        let query = window.map { [(name: "window", value: $0)] } ?? []
        return try await send(Call("GET", "v1", "graph", query: query), as: TrafficGraph.self)
    }

    /// What ends from now on and fits the filter, until the agent ends or the iteration does.
    package func tap(_ filter: TapFilter = TapFilter()) async throws -> ControlStream<TapEvent> {
        try await stream(Call("GET", "v1", "tap", query: filter.query), as: TapEvent.self)
    }

    package func upgrade() async throws -> UpgradeResult {
        try await send(Call("POST", "v1", "upgrade", timeout: 180), as: UpgradeResult.self)
    }

    package func bypass() async throws -> Bypass { try await send(Call("GET", "v1", "bypass"), as: Bypass.self) }

    package func setBypass(_ on: Bool) async throws -> Bypass {
        try await send(Call("PUT", "v1", "bypass", body: ControlJSON.encode(BypassRequest(on: on))), as: Bypass.self)
    }

    package func bypass(namespace: String, name: String) async throws -> WorkloadBypass {
        try await send(Call("GET", "v1", "bypass", namespace, name), as: WorkloadBypass.self)
    }

    package func setBypass(_ on: Bool, namespace: String, name: String) async throws -> WorkloadBypass {
        try await send(
            Call("PUT", "v1", "bypass", namespace, name, body: ControlJSON.encode(BypassRequest(on: on))),
            as: WorkloadBypass.self)
    }

    package func logLevel() async throws -> LogLevel {
        try await send(Call("GET", "v1", "log-level"), as: LogLevel.self)
    }

    package func setLogLevel(_ level: LogLevel) async throws -> LogLevel {
        try await send(Call("PUT", "v1", "log-level", body: ControlJSON.encode(level)), as: LogLevel.self)
    }
}

extension ControlClient.Call {
    /// A listing, or a watch, of resources.
    fileprivate init(listing query: ResourceQuery) {
        self.init("GET", "v1", "resources")
        path += [query.kind, query.namespace, query.name].prefix { $0 != nil }.compactMap(\.self)
    }
}
