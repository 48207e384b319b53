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
    let logLevelSwitch: LogLevelSwitch
    let traffic: TrafficWatch
    let bypassing: Bypass
    let instruments: Instruments
    let succession: Succession
    let memory: MemoryWatch
    let taps: OpenTaps
    private let uses: WorkloadUses
    private let numbers: AgentNumbers
    let startedAt = ClockReading.now()

    init(
        mesh: Mesh, dataPlane: DataPlane, labels: LabelRegistry, agentMetrics: AgentMetrics,
        settings: AgentSettings, loops: Int, logLevel: LogLevelSwitch, traffic: TrafficWatch,
        bypass: Bypass, instruments: Instruments, memory: MemoryWatch, succession: Succession
    ) {
        self.succession = succession
        bypassing = bypass
        self.mesh = mesh
        self.dataPlane = dataPlane
        self.labels = labels
        self.agentMetrics = agentMetrics
        self.settings = settings
        self.loops = loops
        logLevelSwitch = logLevel
        self.traffic = traffic
        self.instruments = instruments
        self.memory = memory
        taps = OpenTaps(agentMetrics)
        uses = WorkloadUses(agentMetrics)
        let feed = mesh.feed
        agentMetrics.queue("resource_changes", limit: feed.mostChanges) { feed.changes }
        numbers = AgentNumbers(agentMetrics)
    }

    func upgrade() async throws -> UpgradeResult { try await succession.run() }

    func status() async throws -> AgentStatus {
        let attachments = await mesh.attachments
        let connections = await dataPlane.connections()
        let refusals = await dataPlane.refusals()
        let captured = attachments.filter { bypassing.reason($0.key) == nil }
        let drifted = RulesListing(attachments: captured, capture: mesh.capture).drift().keys.sorted()
        let alarm = bypassing.alarm
        let troubles = attachments.values.compactMap { attachment in
            mesh.ledger.trouble(of: attachment.id, shared: attachment.shared).map { "\(attachment.name): \($0)" }
        }
        let names = Dictionary(attachments.values.map { ($0.id, $0.name) }) { first, _ in first }
        let unproven = mesh.ledger.unproven.compactMap { names[$0] }
        let failures = await mesh.failures
        let reason =
            drifted.isEmpty && troubles.isEmpty
            ? failures.isEmpty
                ? memory.refusal : "workloads that were attached before cannot be attached again"
            : drifted.isEmpty && troubles.count == unproven.count
                ? "what workloads send does not arrive at the agent"
                : "the rules of workloads are not as they should be"
        let now = MonotonicTime.now()
        let limited = await dataPlane.uses().flatMap { id, facts in
            (names[id].map { name in facts.limited(at: now).map { "\(name): \($0)" } } ?? [])
        }.sorted()
        let kinds = Dictionary(grouping: await mesh.set.entries.keys, by: \.kind.rawValue).mapValues(\.count)
        return AgentStatus(
            version: Build.version, node: settings.node ?? Node.name, pid: getpid(),
            startedAt: Timestamp(startedAt.wall),
            state: alarm == nil && reason == nil ? .running : .degraded, reason: alarm ?? reason,
            dataLoops: loops,
            capture: AgentStatus.Capture(
                backend: attachments.isEmpty
                    ? settings.captureBackend.rawValue : attachments.values.backends.joined(separator: ", "),
                mode: settings.captureMode.rawValue,
                reason: Self.modes(of: attachments.values)),
            workloads: AgentStatus.Workloads(
                attached: attachments.count, degraded: Set(drifted + unproven).count + failures.count),
            resources: kinds,
            configuration: await mesh.snapshot.version,
            connections: AgentStatus.Connections(
                open: connections.count, total: connections.last?.id ?? 0,
                unknownDestination: refusals[.destinationUnknown] ?? 0),
            memory: AgentStatus.Memory(
                resident: memory.state.resident, limit: memory.budget.limit, step: memory.state.step.label),
            warnings: [alarm, memory.warning].compactMap(\.self) + limited + bypassing.warnings + troubles.sorted()
                + failures
                + drifted.map { "the rules of \($0) have drifted; see `trammel rules \($0)`" }
                + attachments.values.captureWarnings + (await mesh.ownWarnings)
                + ResolutionTrouble.warnings(await mesh.resolved, at: .now()))
    }

    /// Which modes are in use, and why; nil while nothing is attached.
    private static func modes(of attachments: some Collection<Attachment>) -> String? {
        let byReason = Dictionary(grouping: attachments) { "\($0.opened.plan.outboundMode): \($0.opened.modeReason)" }
        let reasons = byReason.keys.sorted().map { reason in
            byReason.count == 1 ? reason : "\(reason) (\(byReason[reason]?.count ?? 0) workloads)"
        }
        return reasons.isEmpty ? nil : reasons.joined(separator: "; ")
    }

    func version() async -> AgentVersion { AgentVersion(version: Build.version, build: Build.configuration) }

    func readiness() async -> Readiness { Readiness(ready: true) }

    func apply(_ request: ApplyRequest) async throws -> ApplyResult {
        try await counted(request.dryRun) { try await mesh.apply(request) }
    }

    func counted<R>(_ isDryRun: Bool = false, _ change: () async throws -> R) async throws -> R {
        do {
            let result = try await change()
            if !isDryRun { numbers.applied(true) }
            return result
        } catch {
            if !isDryRun { numbers.applied(false) }
            throw error
        }
    }

    // MARK: Workloads

    func workloads() async throws -> [TrammelControlAPI.AttachedWorkload] {
        let counts = Dictionary(grouping: await dataPlane.connections(), by: \.workloadID).mapValues(\.count)
        let uses = await dataPlane.uses()
        let now = MonotonicTime.now()
        // First, so that none is missed that is attached meanwhile.
        let awaited = await mesh.appearing.waiting
        let unattached = await mesh.absent
        let attachments = await mesh.attachments
        let captured = attachments.filter { bypassing.reason($0.key) == nil }
        let drift = RulesListing(attachments: captured, capture: mesh.capture).drift()
        let attached = attachments.values.map { attachment in
            var described = attachment.described(connections: counts[attachment.id] ?? 0)
            let limited = uses[attachment.id]?.limited(at: now) ?? []
            described.limited = limited.isEmpty ? nil : limited
            described.uncaptured = mesh.capture.plan(of: attachment.id)?.established.count ?? 0
            described.lastRepair = mesh.ledger.lastRepair(of: attachment.id, shared: attachment.shared)
            if let reason = bypassing.reason(attachment.name) {
                described.state = .bypassed
                described.reason = reason
            } else if let first = mesh.ledger.trouble(of: attachment.id, shared: attachment.shared)
                ?? drift[attachment.name]?.first
            {
                described.state = .degraded
                described.reason = first
            }
            return described
        }
        // One that waits may have the name of one that is attached, which is why it waits.
        let waiting = awaited.filter { attachments[$0.key] == nil }.values.map(\.described)
        let absent = unattached.filter { attachments[$0.key] == nil }.values.map(\.described)
        let draining = await mesh.draining.values.map(\.described)
        return (attached + waiting + absent + draining).sorted { ($0.namespace, $0.name) < ($1.namespace, $1.name) }
    }

    func attach(_ request: AttachRequest) async throws -> AttachResult { try await mesh.attach(request) }

    func attach(asDeclared target: DeclaredTarget) async throws -> AttachResult {
        try await mesh.attach(asDeclared: target)
    }

    func detach(namespace: String, name: String, now: Bool) async throws -> DetachResult {
        try await mesh.detach(WorkloadName(namespace: namespace, name: name), atOnce: now)
    }

    // MARK: What is known

    func services() async throws -> [KnownService] {
        let snapshot = await mesh.snapshot
        let all = AgentService.ports(of: snapshot)
        let ports = Dictionary(grouping: all, by: \.port.host)
        return ports.keys.sorted().compactMap { host in
            guard let ports = ports[host], let first = ports.first?.port else { return nil }
            let name = snapshot.resolve(name: host, from: first.namespace)
            let cluster = first.defaultCluster
            return KnownService(
                namespace: first.namespace, name: first.name, hosts: [host],
                addresses: name?.addresses.map(\.description) ?? [],
                ports: ports.map { port, transport in
                    KnownService.Port(
                        name: port.portName, port: port.port,
                        targetPort: port.defaultCluster.endpoints.first?.address.port ?? port.port,
                        transport: transport,
                        appProtocol: port.appProtocol.rawValue)
                },
                endpoints: KnownService.Endpoints(
                    ready: cluster.selectedCount - cluster.notReady.count, total: cluster.selectedCount),
                source: SourceReference(first.origin.location))
        }
    }

    /// Of every service, each with what it is carried over.
    private static func ports(of snapshot: RuntimeSnapshot) -> [(port: ServicePort, transport: String)] {
        snapshot.servicePorts.map { ($0, "TCP") } + snapshot.datagramPorts.map { ($0, "UDP") }
    }

    func endpoints() async throws -> [KnownEndpoint] {
        let snapshot = await mesh.snapshot
        return AgentService.ports(of: snapshot).flatMap { port, transport in
            let cluster = port.defaultCluster
            let ready = cluster.isNoneReady ? [] : cluster.endpoints.map { ($0, KnownEndpoint.Health.ready) }
            let waiting = cluster.notReady.map { ($0, KnownEndpoint.Health.notReady) }
            return (ready + waiting).sorted { $0.0.address < $1.0.address }.map { endpoint, health in
                KnownEndpoint(
                    service: "\(port.namespace)/\(port.name)", port: port.port, transport: transport,
                    address: "\(endpoint.address)",
                    workload: endpoint.identity.map { "\($0.name)" },
                    subsets: snapshot.clusters.filter { other in
                        other.service === cluster.service && other.port == cluster.port
                            && (other.endpoints + other.notReady).contains { $0 === endpoint }
                    }.compactMap(\.subset), health: health,
                    reason: health == .notReady ? "nothing listens on port \(endpoint.address.port)" : nil)
            }
        }
    }

    func connections(workload: String?) async throws -> [LiveConnection] {
        let wanted = await dataPlane.connections().filter { workload == nil || "\($0.workload.name)" == workload }
        return LiveConnections(
            attachments: await mesh.attachments, conntrack: mesh.capture.conntrack,
            clients: mesh.capture.flows.translated
        ).list(wanted, at: .now())
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
        return try Explaining(
            snapshot: await mesh.snapshot, source: attachment.workload.source,
            capture: mesh.capture.plan(of: attachment.id)?.request
        ).explain(request)
    }

    func rules() async throws -> [TrammelControlAPI.InstalledRules] {
        RulesListing(attachments: await mesh.attachments, capture: mesh.capture).list()
    }

    func rules(foreseeing request: AttachRequest) async throws -> RulesPreview {
        try await mesh.foresee(request)
    }

    func metrics(accept: String?) async throws -> MetricsExposition {
        let format = ExpositionFormat(accept: accept)
        await numbers.read(mesh, dataPlane)
        let names = await mesh.attachments.values.map { ($0.id, $0.name) }
        await uses.read(Dictionary(names) { first, _ in first }, dataPlane)
        await instruments.read()
        let snapshot = MetricsSnapshot(await dataPlane.metrics(), registry: labels)
        let exposition = Exposition(
            snapshot, registry: labels, agent: agentMetrics, cluster: settings.metrics.cluster)
        return MetricsExposition(contentType: format.contentType, body: exposition.text(format))
    }
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
        case .bool, .oldBool: self = .bool(scalar.boolValue ?? false)
        case .integer: self = Int64(scalar.text).map { .integer($0) } ?? .string(scalar.text)
        case .float: self = Double(scalar.text).flatMap { $0.isFinite ? .number($0) : nil } ?? .string(scalar.text)
        case .string: self = .string(scalar.text)
        }
    }
}
