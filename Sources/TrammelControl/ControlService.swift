package import TrammelControlAPI

/// What the control API is a thin face of: the agent, as far as people and programs may ask or change it.
///
/// The harness in this module decodes a request, checks who asks, calls one of these, and encodes what comes back. An
/// error is answered as a problem document: a `TrammelError` by its kind, `ConfigErrors` with the place of each, a
/// `Problem` as it is, anything else as the agent's own fault (500). Who may call is settled before the call.
package protocol ControlService: Sendable {
    func status() async throws -> AgentStatus
    func version() async -> AgentVersion
    func readiness() async -> Readiness

    /// Either every document is valid and live when this returns, or nothing has changed.
    func apply(_ request: ApplyRequest) async throws -> ApplyResult
    /// In the order of kind, namespace and name, with the version of the set that they were read from. A query for one
    /// resource by name throws `notFound` without it.
    func resources(_ query: ResourceQuery) async throws -> ItemList<StoredResource>
    /// What is there and then every change of it; or, from a version on, every change since.
    /// - Throws: a `Problem` of status 410 where the changes since `version` are not known any more, or not yet.
    func watch(_ query: ResourceQuery, from version: UInt64?) async throws -> any EventSource<WatchEvent>
    /// One resource, as a whole, under the conditions that its writer names.
    /// - Throws: `conflict` where the directory owns it or it is not at the version that the writer has seen.
    func put(_ request: PutRequest) async throws -> ResourceResult
    /// - Throws: `notFound`, or `conflict` where the directory owns it or it is not as `condition` wants it.
    func deleteResource(_ resource: ResourceName, _ condition: WriteCondition) async throws -> ResourceResult

    func workloads() async throws -> [AttachedWorkload]
    /// The request has passed `AttachRequest.check()`.
    func attach(_ request: AttachRequest) async throws -> AttachResult
    /// In the way that a Workload resource has it. Its request has passed `AttachRequest.check()`.
    /// - Throws: `notFound` where no Workload resource asks for it.
    func attach(asDeclared target: DeclaredTarget) async throws -> AttachResult
    /// - Parameter now: ends the connections that are under way.
    func detach(namespace: String, name: String, now: Bool) async throws -> DetachResult

    func services() async throws -> [KnownService]
    func endpoints() async throws -> [KnownEndpoint]
    /// - Parameter workload: `namespace/name`, or nil for all.
    func connections(workload: String?) async throws -> [LiveConnection]
    func killConnection(id: UInt64) async throws
    /// The living flows of attached workloads that the agent does not carry.
    /// - Parameter workload: `namespace/name`, or nil for all.
    func flows(workload: String?) async throws -> [UncapturedFlow]
    func endFlow(id: UInt64) async throws

    /// Another process of the program, as it is installed now, takes over.
    /// - Throws: `unavailable` where it does not come to serve; then everything is as before.
    func upgrade() async throws -> UpgradeResult

    /// Looks at everything that may be amiss. Takes seconds.
    func doctor() async throws -> DoctorReport

    func explain(_ request: ExplainRequest) async throws -> Explanation
    func rules() async throws -> [InstalledRules]
    /// What `attach` would do to the node, without doing it. The request has passed `AttachRequest.check()`.
    /// - Throws: as `attach`.
    func rules(foreseeing request: AttachRequest) async throws -> RulesPreview

    /// - Parameter window: seconds, 1 to 3,600.
    func graph(window: Double) async throws -> TrafficGraph
    /// What ends from now on and fits the filter, which has been checked.
    func tap(_ filter: TapFilter) async throws -> any EventSource<TapEvent>

    /// These four answer whatever the data path is doing.
    func bypass() async throws -> Bypass
    /// Lets everybody's traffic go past the agent, or has it captured again.
    func setBypass(_ on: Bool) async throws -> Bypass
    /// - Throws: `notFound` for a workload that is not attached.
    func bypass(namespace: String, name: String) async throws -> WorkloadBypass
    func setBypass(_ on: Bool, namespace: String, name: String) async throws -> WorkloadBypass

    func logLevel() async -> LogLevel
    /// - Parameter level: one of `LogLevel.names`.
    func setLogLevel(_ level: LogLevel) async throws -> LogLevel

    /// - Parameter accept: the request's `Accept`, which chooses between Prometheus' text format and OpenMetrics.
    func metrics(accept: String?) async throws -> MetricsExposition
}

/// All metrics in one of the formats that Prometheus reads.
package struct MetricsExposition: Sendable {
    /// `text/plain; version=0.0.4; charset=utf-8` or OpenMetrics'.
    package let contentType: String
    package let body: [UInt8]

    package init(contentType: String, body: [UInt8]) {
        self.contentType = contentType
        self.body = body
    }
}
