import Glibc
import TrammelConfig
import TrammelControl
import TrammelControlAPI
import TrammelCore
import TrammelPolicy
import TrammelProxy
import TrammelTelemetry

/// The control API's questions and orders, answered from the mesh and the data plane.
struct AgentService: ControlService {
    let mesh: Mesh
    let dataPlane: DataPlane
    let labels: LabelRegistry
    let agentMetrics: AgentMetrics
    let settings: AgentSettings
    let loops: Int
    private let startedAt = WallTime.now()

    init(
        mesh: Mesh, dataPlane: DataPlane, labels: LabelRegistry, agentMetrics: AgentMetrics,
        settings: AgentSettings, loops: Int
    ) {
        self.mesh = mesh
        self.dataPlane = dataPlane
        self.labels = labels
        self.agentMetrics = agentMetrics
        self.settings = settings
        self.loops = loops
    }

    func status() async throws -> AgentStatus {
        let attachments = await mesh.attachments
        let connections = await dataPlane.connections()
        let refusals = await dataPlane.refusals()
        let kinds = Dictionary(grouping: await mesh.set.entries.keys, by: \.kind.rawValue).mapValues(\.count)
        return AgentStatus(
            version: Build.version, node: settings.node ?? Node.name, pid: getpid(), startedAt: Timestamp(startedAt),
            state: .running, dataLoops: loops,
            capture: AgentStatus.Capture(backend: "nftables", mode: settings.captureMode.rawValue),
            workloads: AgentStatus.Workloads(attached: attachments.count), resources: kinds,
            configuration: await mesh.snapshot.version,
            connections: AgentStatus.Connections(
                open: connections.count, total: connections.last?.id ?? 0,
                unknownDestination: refusals[.destinationUnknown] ?? 0))
    }

    func version() async -> AgentVersion { AgentVersion(version: Build.version, build: Build.configuration) }

    func readiness() async -> Readiness { Readiness(ready: true) }

    func apply(_ request: ApplyRequest) async throws -> ApplyResult { try await mesh.apply(request) }

    func resources(_ query: ResourceQuery) async throws -> [StoredResource] {
        let found = await mesh.set.listed { key in
            (query.kind == nil || query.kind == key.kind.rawValue)
                && (query.namespace == nil || query.namespace == key.namespace)
                && (query.name == nil || query.name == key.name)
        }
        if found.isEmpty, let name = query.name {
            throw TrammelError(
                .notFound, code: "resource-unknown",
                "there is no \(query.kind ?? "resource") \(query.namespace ?? "default")/\(name)",
                hint: "`trammel get` lists what there is")
        }
        return found.map { entry in
            StoredResource(
                origin: entry.origin == .api ? .api : .directory, source: SourceReference(entry.resource.location),
                document: JSONValue(entry.resource.document))
        }
    }

    func deleteResource(kind: String, namespace: String, name: String) async throws -> ResourceResult {
        guard let known = ResourceKind(rawValue: kind) else {
            throw TrammelError(.notFound, code: "kind-unknown", "there is no kind \(kind)")
        }
        return try await mesh.delete(ResourceKey(kind: known, namespace: namespace, name: name))
    }

    // MARK: Workloads

    func workloads() async throws -> [TrammelControlAPI.AttachedWorkload] {
        let counts = Dictionary(grouping: await dataPlane.connections(), by: \.workloadID).mapValues(\.count)
        return await mesh.attachments.values.sorted { $0.name < $1.name }
            .map { $0.described(connections: counts[$0.id] ?? 0) }
    }

    func attach(_ request: AttachRequest) async throws -> AttachResult { try await mesh.attach(request) }

    func detach(namespace: String, name: String) async throws -> DetachResult {
        try await mesh.detach(WorkloadName(namespace: namespace, name: name))
        return DetachResult(namespace: namespace, name: name)
    }

    // MARK: What is known

    func services() async throws -> [KnownService] {
        let snapshot = await mesh.snapshot
        let ports = Dictionary(grouping: snapshot.servicePorts, by: \.host)
        return ports.keys.sorted().compactMap { host in
            guard let ports = ports[host], let first = ports.first else { return nil }
            let name = snapshot.resolve(name: host, from: first.namespace)
            let cluster = first.defaultCluster
            return KnownService(
                namespace: first.namespace, name: first.name, hosts: [host],
                addresses: name?.addresses.map(\.description) ?? [],
                ports: ports.map { port in
                    KnownService.Port(
                        name: port.portName, port: port.port,
                        targetPort: port.defaultCluster.endpoints.first?.address.port ?? port.port, transport: "TCP",
                        appProtocol: port.appProtocol.rawValue)
                },
                endpoints: KnownService.Endpoints(
                    ready: cluster.endpoints.count, total: cluster.endpoints.count + cluster.notReady.count),
                source: SourceReference(first.origin.location))
        }
    }

    func endpoints() async throws -> [KnownEndpoint] {
        let snapshot = await mesh.snapshot
        return snapshot.servicePorts.flatMap { port in
            let cluster = port.defaultCluster
            let ready = cluster.endpoints.map { ($0, KnownEndpoint.Health.ready) }
            let waiting = cluster.notReady.map { ($0, KnownEndpoint.Health.notReady) }
            return (ready + waiting).map { endpoint, health in
                KnownEndpoint(
                    service: port.host, port: port.port, address: "\(endpoint.address)",
                    workload: endpoint.identity.map { "\($0.name)" },
                    subsets: snapshot.clusters.filter { other in
                        other.service === cluster.service && other.port == cluster.port
                            && other.endpoints.contains { $0 === endpoint }
                    }.compactMap(\.subset), health: health)
            }
        }
    }

    func connections(workload: String?) async throws -> [LiveConnection] {
        let now = WallTime.now()
        return await dataPlane.connections().filter { workload == nil || "\($0.workload.name)" == workload }
            .map { LiveConnection($0, now: now) }
    }

    func killConnection(id: UInt64) async throws {
        guard await dataPlane.kill(connection: id) else {
            throw TrammelError(
                .notFound, code: "connection-unknown", "there is no connection \(id)",
                hint: "`trammel connections` lists them")
        }
    }

    func explain(_ request: ExplainRequest) async throws -> TrammelControlAPI.Explanation {
        let parts = request.from.split(separator: "/", maxSplits: 1).map(String.init)
        let name = WorkloadName(namespace: parts.count == 2 ? parts[0] : "default", name: parts.last ?? "")
        guard let attachment = await mesh.attachments[name] else {
            throw TrammelError(
                .notFound, code: "workload-unknown", "no workload \(name) is attached",
                hint: "`trammel workloads` lists them")
        }
        return try Explaining(snapshot: await mesh.snapshot, source: attachment.workload.source).explain(request)
    }

    func rules() async throws -> [InstalledRules] {
        throw TrammelError(.unimplemented, code: "not-built-yet", "rules: not built yet")
    }

    func metrics(accept: String?) async throws -> MetricsExposition {
        let format = ExpositionFormat(accept: accept)
        let snapshot = MetricsSnapshot(await dataPlane.metrics())
        let exposition = Exposition(snapshot, registry: labels, agent: agentMetrics)
        return MetricsExposition(contentType: format.contentType, body: exposition.text(format))
    }
}

/// What this build is.
package enum Build {
    package static let version = "0.1.0"
    #if DEBUG
        package static let configuration = "debug"
    #else
        package static let configuration = "release"
    #endif
}

enum Node {
    /// The host's name.
    static var name: String {
        var bytes = [CChar](repeating: 0, count: 256)
        guard gethostname(&bytes, bytes.count - 1) == 0 else { return "unknown" }
        return String(decoding: bytes.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}

extension SourceReference {
    init(_ location: SourceLocation) { self.init(file: location.file, line: location.line) }
}

extension LiveConnection {
    init(_ facts: ConnectionFacts, now: WallTime) {
        self.init(
            id: facts.id, workload: "\(facts.workload.name)",
            direction: facts.direction == .outbound ? .outbound : .inbound, client: "\(facts.client)",
            originalDestination: "\(facts.destination)", upstream: facts.upstream.map { "\($0)" },
            protocol: facts.applicationProtocol.rawValue, sni: facts.serverName, decision: facts.decision,
            bytesSent: facts.bytesToClient, bytesReceived: facts.bytesFromClient,
            ageSeconds: Double(now.nanoseconds - facts.openedAt.nanoseconds) / 1e9)
    }
}

extension JSONValue {
    /// A document as it was written, in JSON.
    init(_ node: ConfigNode) {
        switch node.value {
        case .mapping(let entries):
            self = .object(Dictionary(entries.map { ($0.key, JSONValue($0.value)) }, uniquingKeysWith: { $1 }))
        case .sequence(let nodes):
            self = .array(nodes.map { JSONValue($0) })
        case .scalar(let scalar):
            self.init(scalar)
        }
    }

    private init(_ scalar: ConfigScalar) {
        switch scalar.type {
        case .null: self = .null
        case .bool: self = .bool(scalar.text.lowercased() == "true")
        default: self = .string(scalar.text)
        }
    }
}
