import Synchronization
import TrammelControl
import TrammelControlAPI
import TrammelCore

/// A `ControlService` that knows a small, fixed mesh and remembers what it was asked to do.
final class FakeAgent: ControlService {
    enum Request: Hashable, Sendable {
        case apply(ApplyRequest)
        case resources(ResourceQuery)
        case watch(ResourceQuery, from: UInt64?)
        case put(PutRequest)
        case delete(ResourceName, WriteCondition)
        case graph(Double)
        case tap(TapFilter)
        case setLogLevel(String)
        case setBypass(Bool, String?)
        case attach(AttachRequest)
        case foresee(AttachRequest)
        case detach(namespace: String, name: String, now: Bool = false)
        case connections(workload: String?)
        case kill(UInt64)
        case endFlow(UInt64)
        case explain(ExplainRequest)
        case metrics(accept: String?)

        static func delete(kind: String, namespace: String, name: String) -> Request {
            .delete(ResourceName(kind: kind, namespace: namespace, name: name), .always)
        }
    }

    private struct State {
        var requests: [Request] = []
        var readiness = Readiness(ready: true)
        var failure: (any Error)?
        var explanations: (asked: AsyncStream<Void>.Continuation, go: AsyncStream<Void>)?
        var watches: [EventBuffer<WatchEvent>] = []
        var taps: [EventBuffer<TapEvent>] = []
        var cancelled = 0
        var level = "info"
        var applied: ApplyResult?
        var metrics = Array("trammel_up 1\n".utf8)
    }

    private let state = Mutex(State())

    var requests: [Request] { state.withLock { $0.requests } }

    func become(_ readiness: Readiness) { state.withLock { $0.readiness = readiness } }

    /// Every call throws `error` from now on.
    func fail(with error: any Error) { state.withLock { $0.failure = error } }

    /// Holds every explanation back until `answer` is called; `asked` says when one is wanted.
    func holdExplanations() -> (asked: AsyncStream<Void>, answer: @Sendable () -> Void) {
        let (asked, ask) = AsyncStream.makeStream(of: Void.self)
        let (go, answer) = AsyncStream.makeStream(of: Void.self)
        state.withLock { $0.explanations = (ask, go) }
        return (asked, { answer.finish() })
    }

    /// Every apply, dry or not, is answered with this from now on.
    func answerApply(with result: ApplyResult) { state.withLock { $0.applied = result } }

    func expose(_ metrics: [UInt8]) { state.withLock { $0.metrics = metrics } }

    private func note(_ request: Request? = nil) throws {
        let failure = state.withLock { state in
            if let request { state.requests.append(request) }
            return state.failure
        }
        if let failure { throw failure }
    }

    func status() async throws -> AgentStatus {
        try note()
        return AgentStatus(
            version: "0.1.0", node: "node-1", pid: 4711, startedAt: Sample.time, state: .running, dataLoops: 2,
            capture: .init(backend: "nftables", mode: "auto", reason: "tproxy: the kernel can do it"),
            workloads: .init(attached: 2), resources: ["Service": 2, "VirtualService": 1], configuration: 7,
            connections: .init(open: 3, total: 120, unknownDestination: 1),
            memory: .init(resident: 48 << 20, limit: 1 << 30, step: "shrink"),
            warnings: ["/etc/trammel/conf.d/bad.yaml:3 is not valid; the version before it is live"])
    }

    func version() async -> AgentVersion {
        AgentVersion(version: "0.1.0", commit: "0123abc", build: "release", compiler: "Swift 6.3")
    }

    func readiness() async -> Readiness { state.withLock { $0.readiness } }

    func apply(_ request: ApplyRequest) async throws -> ApplyResult {
        try note(.apply(request))
        if var result = state.withLock({ $0.applied }) {
            result.dryRun = request.dryRun
            return result
        }
        return ApplyResult(
            results: [
                ResourceResult(kind: "Service", namespace: "default", name: "reviews", outcome: .created),
                ResourceResult(
                    kind: "VirtualService", namespace: "default", name: "reviews", outcome: .configured,
                    warnings: ["canary.yaml:14: subset \"v9\" is not known; the nearest is \"v1\""]),
            ], warnings: ["app.yaml:1: Deployment means nothing here and was skipped"], dryRun: request.dryRun)
    }

    func resources(_ query: ResourceQuery) async throws -> ItemList<StoredResource> {
        try note(.resources(query))
        let found = Sample.resources.filter { resource in
            let metadata = resource.document["metadata"]
            return [
                (query.kind, resource.document["kind"]), (query.namespace, metadata?["namespace"]),
                (query.name, metadata?["name"]),
            ].allSatisfy { $0.0 == nil || $0.0 == $0.1?.stringValue }
        }
        guard !found.isEmpty || query.name == nil else {
            throw TrammelError(
                .notFound, code: "no-such-resource",
                "there is no \(query.kind ?? "") \(query.namespace ?? "")/\(query.name ?? "")",
                hint: "`trammel get` lists what there is")
        }
        return ItemList(found, resourceVersion: "17")
    }

    /// The watches and taps that clients have begun, in that order; how many of them are over.
    var watches: [EventBuffer<WatchEvent>] { state.withLock { $0.watches } }
    var taps: [EventBuffer<TapEvent>] { state.withLock { $0.taps } }
    var cancelled: Int { state.withLock { $0.cancelled } }

    private func over() { state.withLock { $0.cancelled += 1 } }

    func watch(_ query: ResourceQuery, from version: UInt64?) async throws -> any EventSource<WatchEvent> {
        try note(.watch(query, from: version))
        let buffer = EventBuffer<WatchEvent>(weigh: { _ in 1000 }, mark: { _, _ in }, onCancel: { self.over() })
        for resource in Sample.resources {
            buffer.offer(WatchEvent(type: .added, object: resource, resourceVersion: "0"))
        }
        state.withLock { $0.watches.append(buffer) }
        return buffer
    }

    func put(_ request: PutRequest) async throws -> ResourceResult {
        try note(.put(request))
        let resource = request.resource
        return ResourceResult(
            kind: resource.kind, namespace: resource.namespace, name: resource.name,
            outcome: request.condition == .absent ? .created : .configured, resourceVersion: "18")
    }

    func deleteResource(_ resource: ResourceName, _ condition: WriteCondition) async throws -> ResourceResult {
        try note(.delete(resource, condition))
        return ResourceResult(
            kind: resource.kind, namespace: resource.namespace, name: resource.name, outcome: .deleted)
    }

    func graph(window: Double) async throws -> TrafficGraph {
        try note(.graph(window))
        return Sample.graph
    }

    func tap(_ filter: TapFilter) async throws -> any EventSource<TapEvent> {
        try note(.tap(filter))
        let buffer = EventBuffer<TapEvent>(
            weigh: { _ in 1000 }, mark: { $0.lost = $1 }, onCancel: { self.over() })
        state.withLock { $0.taps.append(buffer) }
        return buffer
    }

    func bypass() async throws -> Bypass {
        try note()
        return Sample.bypass
    }

    func setBypass(_ on: Bool) async throws -> Bypass {
        try note(.setBypass(on, nil))
        return on ? Sample.bypass : Bypass(all: false)
    }

    func bypass(namespace: String, name: String) async throws -> WorkloadBypass {
        try note()
        return Sample.workloadBypass
    }

    func setBypass(_ on: Bool, namespace: String, name: String) async throws -> WorkloadBypass {
        try note(.setBypass(on, "\(namespace)/\(name)"))
        return WorkloadBypass(workload: "\(namespace)/\(name)", bypassed: on, because: on ? [.workload] : [])
    }

    func logLevel() async -> LogLevel { LogLevel(level: state.withLock { $0.level }) }

    func setLogLevel(_ level: LogLevel) async throws -> LogLevel {
        try note(.setLogLevel(level.level))
        state.withLock { $0.level = level.level }
        return await logLevel()
    }

    func workloads() async throws -> [AttachedWorkload] {
        try note()
        return Sample.workloads
    }

    func attach(_ request: AttachRequest) async throws -> AttachResult {
        try note(.attach(request))
        var workload = Sample.workloads[0]
        workload.namespace = request.namespace
        workload.name = request.name
        workload.target = request.netns.map { "netns \($0)" } ?? "pid \(request.pid ?? 0)"
        return AttachResult(outcome: .attached, workload: workload, warnings: ["2 older connections stay uncaptured"])
    }

    func attach(asDeclared target: DeclaredTarget) async throws -> AttachResult { try await attach(target.request) }

    func detach(namespace: String, name: String, now: Bool) async throws -> DetachResult {
        try note(.detach(namespace: namespace, name: name, now: now))
        guard Sample.workloads.contains(where: { $0.namespace == namespace && $0.name == name }) else {
            throw TrammelError(
                .notFound, code: "not-attached", "no workload \(namespace)/\(name) is attached",
                hint: "`trammel workloads` lists those that are")
        }
        return DetachResult(namespace: namespace, name: name, connections: name == "ratings" ? 2 : 0)
    }

    func services() async throws -> [KnownService] {
        try note()
        return Sample.services
    }

    func endpoints() async throws -> [KnownEndpoint] {
        try note()
        return Sample.endpoints
    }

    func connections(workload: String?) async throws -> [LiveConnection] {
        try note(.connections(workload: workload))
        return Sample.connections.filter { workload == nil || $0.workload == workload }
    }

    func killConnection(id: UInt64) async throws {
        try note(.kill(id))
        guard Sample.connections.contains(where: { $0.id == id }) else {
            throw TrammelError(
                .notFound, code: "no-such-connection", "there is no connection \(id)",
                hint: "`trammel connections` lists the ids")
        }
    }

    func flows(workload: String?) async throws -> [UncapturedFlow] {
        try note()
        return Sample.flows.filter { workload == nil || $0.workload == workload }
    }

    func endFlow(id: UInt64) async throws {
        try note(.endFlow(id))
        guard Sample.flows.contains(where: { $0.id == id }) else {
            throw TrammelError(
                .notFound, code: "flow-unknown", "there is no flow \(id)",
                hint: "`trammel connections --passed` lists them")
        }
    }

    func upgrade() async throws -> UpgradeResult { UpgradeResult(pid: 4711, version: "9.9.9", workloads: 2) }

    func doctor() async throws -> DoctorReport {
        try note()
        return Sample.doctor
    }

    func explain(_ request: ExplainRequest) async throws -> Explanation {
        try note(.explain(request))
        if let held = state.withLock({ $0.explanations }) {
            held.asked.yield()
            for await _ in held.go {}
        }
        return Sample.explanation
    }

    func rules() async throws -> [InstalledRules] {
        try note()
        return Sample.rules
    }

    func rules(foreseeing request: AttachRequest) async throws -> RulesPreview {
        try note(.foresee(request))
        return Sample.foreseen
    }

    func metrics(accept: String?) async throws -> MetricsExposition {
        try note(.metrics(accept: accept))
        return MetricsExposition(
            contentType: "text/plain; version=0.0.4; charset=utf-8", body: state.withLock { $0.metrics })
    }
}
