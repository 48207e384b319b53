import TrammelCapture
import TrammelConfig
import TrammelControlAPI
import TrammelCore
import TrammelPolicy
import TrammelProxy
import TrammelTelemetry

/// What the agent knows and every change of it: resources, attachments, and the snapshot that follows from them.
///
/// Changes are made one after the other, each whole: an attach or an apply has taken effect when its call returns.
actor Mesh {
    private(set) var resources: [ResourceKey: Resource] = [:]
    private(set) var attachments: [WorkloadName: Attachment] = [:]
    private(set) var snapshot: RuntimeSnapshot
    private(set) var virtualAddresses: [ServiceKey: VIPs] = [:]
    private var nextWorkload: UInt32 = 1
    private var version: UInt64 = 1
    private let compiler = SnapshotCompiler()
    private let capture: WorkloadCapture
    private let labels: LabelRegistry
    private var dataPlane: DataPlane?
    private let ranges: AgentSettings.VIPRanges
    private let changes = ChangeQueue()

    init(capture: WorkloadCapture, labels: LabelRegistry, ranges: AgentSettings.VIPRanges) {
        self.capture = capture
        self.labels = labels
        self.ranges = ranges
        snapshot = .empty
    }

    func serve(through dataPlane: DataPlane) { self.dataPlane = dataPlane }

    // MARK: Workloads

    func attach(_ request: AttachRequest) async throws -> AttachResult {
        try await changes.run { try await self.attachNow(request) }
    }

    func detach(_ name: WorkloadName) async throws {
        try await changes.run { try await self.detachNow(name) }
    }

    private func attachNow(_ request: AttachRequest) async throws -> AttachResult {
        let identity = request.identity
        let captureRequest = try request.captureRequest()
        if let known = attachments[identity.name] {
            return try repeated(request, known, NetworkNamespace(captureRequest.target).identity)
        }
        let target = try NetworkNamespace(captureRequest.target).identity
        if let other = attachments.values.first(where: { $0.opened.namespace.identity == target }) {
            throw TrammelError(
                .conflict, code: "netns-attached", "this network namespace is attached already, as \(other.name)",
                hint: "a namespace has one owner; detach \(other.name) first")
        }
        guard let dataPlane else {
            throw TrammelError(.unavailable, code: "starting", "the agent is still starting", hint: "try again")
        }
        let id = WorkloadID(rawValue: nextWorkload)
        nextWorkload += 1
        let opened = try capture.open(captureRequest, as: id)
        let workload = TrammelProxy.AttachedWorkload(
            source: Source(id: id, identity: identity), addresses: opened.facts.addresses,
            peer: labels.id(ofPeer: PeerLabels(identity)))
        let attachment = Attachment(request: request, opened: opened, workload: workload, attachedAt: .now())
        do {
            try await dataPlane.attach(workload, listeners: opened.listeners.map(CaptureListener.init))
            try capture.install(opened)
        } catch {
            await dataPlane.detach(id)
            capture.close(id)
            throw error
        }
        attachments[identity.name] = attachment
        await publish()
        return AttachResult(outcome: .attached, workload: attachment.described(connections: 0))
    }

    /// The same name again: nothing to do for the same target, a conflict for another.
    private func repeated(
        _ request: AttachRequest, _ known: Attachment, _ target: NetworkNamespaceIdentity
    ) throws -> AttachResult {
        guard known.opened.namespace.identity == target else {
            throw TrammelError(
                .conflict, code: "workload-attached",
                "\(known.name) is attached already, to \(known.opened.namespace.path)",
                hint: "detach it first, or attach the other namespace under another name")
        }
        return AttachResult(outcome: .unchanged, workload: known.described(connections: 0))
    }

    private func detachNow(_ name: WorkloadName) async throws {
        guard let attachment = attachments[name] else {
            throw TrammelError(
                .notFound, code: "workload-unknown", "no workload \(name) is attached",
                hint: "`trammel workloads` lists them")
        }
        try capture.uninstall(attachment.id)
        attachments[name] = nil
        await dataPlane?.detach(attachment.id)
        capture.close(attachment.id)
        await publish()
    }

    // MARK: Resources

    func apply(_ request: ApplyRequest) async throws -> ApplyResult {
        try await changes.run { try await self.applyNow(request) }
    }

    private func applyNow(_ request: ApplyRequest) async throws -> ApplyResult {
        var options = DecodingOptions(checkRegex: { RegularExpression.problem(with: $0) })
        options.warnUnknown = request.warnUnknown
        options.skipUnimplemented = request.skipUnimplemented
        let batch: DecodedBatch
        do {
            batch = try ResourceDecoder.decode(
                request.documents.map { (file: $0.path, bytes: Array($0.text.utf8)) }, options: options)
        } catch {
            throw Problem(error)
        }
        var next = resources
        let results = batch.resources.map { resource in
            let old = next.updateValue(resource, forKey: resource.key)
            return ResourceResult(resource.key, old == nil ? .created : .configured)
        }
        let warnings = batch.warnings.map(\.description)
        if !request.dryRun {
            resources = next
            await publish()
        }
        return ApplyResult(results: results, warnings: warnings, dryRun: request.dryRun)
    }

    func delete(_ key: ResourceKey) async throws -> ResourceResult {
        try await changes.run { try await self.deleteNow(key) }
    }

    private func deleteNow(_ key: ResourceKey) async throws -> ResourceResult {
        guard resources.removeValue(forKey: key) != nil else {
            throw TrammelError(
                .notFound, code: "resource-unknown", "there is no \(key)", hint: "`trammel get` lists what there is")
        }
        await publish()
        return ResourceResult(key, .deleted)
    }

    // MARK: Snapshots

    private func publish() async {
        allocate()
        version += 1
        let compiled = compiler.compile(
            resources: resources.values, workloads: attachments.values.map(\.facts), vips: virtualAddresses,
            version: version)
        snapshot = compiled.snapshot
        await dataPlane?.publish(compiled.snapshot)
    }

    /// A virtual address of each family for every service that names none, kept for as long as the agent runs.
    private func allocate() {
        let wanting = resources.values.compactMap { resource -> ServiceKey? in
            guard case .service(let spec) = resource.spec, spec.clusterIP == .allocate else { return nil }
            return ServiceKey(namespace: resource.key.namespace, name: resource.key.name)
        }
        for key in wanting.sorted() where virtualAddresses[key] == nil {
            let number = UInt64(virtualAddresses.count + 1)
            virtualAddresses[key] = [
                IPAddress(v4: UInt32(truncatingIfNeeded: ranges.ipv4.base.low + number)),
                IPAddress(v6: ranges.ipv6.base.high, number),
            ]
        }
    }
}

extension CaptureListener {
    init(_ opened: OpenedListener) {
        self.init(
            socket: opened.socket, direction: opened.direction, mode: opened.mode, address: opened.address)
    }
}

extension ResourceResult {
    init(_ key: ResourceKey, _ outcome: Outcome) {
        self.init(kind: key.kind.rawValue, namespace: key.namespace, name: key.name, outcome: outcome)
    }
}

extension Problem {
    /// Every fault of a batch, each with its place.
    init(_ errors: ConfigErrors) {
        self.init(
            code: "configuration",
            items: errors.errors.map { error in
                Item(
                    detail: error.message, hint: error.hint, kind: error.kind, namespace: error.namespace,
                    name: error.name, field: error.field, file: error.location.file, line: error.location.line)
            })
    }
}
