import Glibc
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
    private(set) var set = ResourceSet()
    private(set) var attachments: [WorkloadName: Attachment] = [:]
    private(set) var snapshot: RuntimeSnapshot
    private(set) var vips: VIPAllocator
    private var nextWorkload: UInt32 = 1
    private var version: UInt64 = 1
    private let compiler = SnapshotCompiler()
    private let capture: WorkloadCapture
    private let labels: LabelRegistry
    private var dataPlane: DataPlane?
    private let ranges: AgentSettings.VIPRanges
    private let store: StateStore
    private let changes = ChangeQueue()

    init(capture: WorkloadCapture, labels: LabelRegistry, store: StateStore, ranges: AgentSettings.VIPRanges) {
        self.store = store
        vips = VIPAllocator(ranges: ranges)
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
        let names: DNSListeners
        do {
            names = try DNSListeners(opened, through: capture)
        } catch {
            for listener in opened.listeners { close(listener.socket) }
            capture.close(id)
            throw error
        }
        let workload = TrammelProxy.AttachedWorkload(
            source: Source(id: id, identity: identity), addresses: opened.facts.addresses,
            peer: labels.id(ofPeer: PeerLabels(identity)))
        let attachment = Attachment(request: request, opened: opened, workload: workload, attachedAt: .now())
        do {
            try await dataPlane.attach(
                workload, listeners: opened.listeners.map(CaptureListener.init), dns: names)
            try capture.install(opened)
            try store.keep(
                StateStore.Attachment(
                    workload: identity.name,
                    payload: AttachmentMemory(request: request, inode: target.inode).payload()))
        } catch {
            try? capture.uninstall(id)
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
        try store.forget(name)
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
        var options = DecodingOptions(namespace: request.namespace, checkRegex: { RegularExpression.problem(with: $0) })
        options.warnUnknown = request.warnUnknown
        options.skipUnimplemented = request.skipUnimplemented
        let batch = try ResourceDecoder.decode(
            request.documents.map { (file: $0.path, bytes: Array($0.text.utf8)) }, options: options)
        var how = ApplyOptions(prune: request.prune, strict: request.strict)
        if let selector = request.selector {
            guard let parsed = LabelSelector(selector) else {
                throw TrammelError(
                    .invalid, code: "selector", "\"\(selector)\" is not a label selector",
                    hint: "write key=value, key!=value or key, separated by commas")
            }
            how.pruneSelector = parsed
        }
        let applied = try set.applying(batch, how)
        if !request.dryRun { try await commit(applied) }
        return ApplyResult(
            results: applied.changes.map(ResourceResult.init), warnings: applied.warnings.map(\.description),
            dryRun: request.dryRun)
    }

    func delete(_ key: ResourceKey) async throws -> ResourceResult {
        try await changes.run { try await self.deleteNow(key) }
    }

    private func deleteNow(_ key: ResourceKey) async throws -> ResourceResult {
        guard set[key] != nil else {
            throw TrammelError(
                .notFound, code: "resource-unknown", "there is no \(key)", hint: "`trammel get` lists what there is")
        }
        let applied = try set.deleting([key])
        try await commit(applied)
        return ResourceResult(kind: key.kind.rawValue, namespace: key.namespace, name: key.name, outcome: .deleted)
    }

    /// Durable first, then live: what a caller was told is there after a crash too.
    private func commit(_ applied: AppliedBatch) async throws {
        guard applied.isChange else { return }
        var nextVIPs = vips
        let moved = try nextVIPs.allocate(for: applied.set, now: .now())
        try store.commit(applied, vips: moved)
        set = applied.set
        vips = nextVIPs
        await publish()
    }

    // MARK: Snapshots

    private func publish() async {
        version += 1
        var addresses: [ServiceKey: VIPs] = [:]
        for key in set.entries.keys where key.kind == .service {
            let owned = vips.addresses(of: key)
            if !owned.isEmpty { addresses[ServiceKey(namespace: key.namespace, name: key.name)] = owned }
        }
        let compiled = compiler.compile(
            resources: set.resources, workloads: attachments.values.map(\.facts), vips: addresses, version: version)
        snapshot = compiled.snapshot
        await dataPlane?.publish(compiled.snapshot)
    }

    // MARK: Start

    /// Takes up where the last agent of this state directory left off: the resources first, then every attachment
    /// whose namespace is still the one it was.
    /// - Returns: what could not be taken up, each in a sentence.
    func restore() async throws -> [String] {
        try await changes.run { try await self.restoreNow() }
    }

    private func restoreNow() async throws -> [String] {
        let restored = try store.restore(
            options: DecodingOptions(checkRegex: { RegularExpression.problem(with: $0) }))
        set = restored.set
        vips = VIPAllocator(ranges: ranges, records: try store.vips())
        var troubles = restored.errors.map(\.description)
        await publish()
        for kept in try store.attachments() {
            do {
                try await restore(kept)
            } catch {
                troubles.append("\(kept.workload) is not attached again: \(error)")
                try store.forget(kept.workload)
            }
        }
        return troubles
    }

    private func restore(_ kept: StateStore.Attachment) async throws {
        let memory = try AttachmentMemory(payload: kept.payload)
        guard memory.bootID == AttachmentMemory.currentBootID,
            try NetworkNamespace(memory.request.captureRequest().target).identity.inode == memory.inode
        else {
            throw TrammelError(.notFound, code: "netns-gone", "its network namespace is gone")
        }
        _ = try await attachNow(memory.request)
    }
}

extension CaptureListener {
    init(_ opened: OpenedListener) {
        self.init(
            socket: opened.socket, direction: opened.direction, mode: opened.mode, address: opened.address)
    }
}

extension DNSListeners {
    /// Takes the listeners over, and closes them when this fails.
    init(_ opened: OpenedWorkload, through capture: WorkloadCapture) throws {
        self.init()
        for (index, listener) in opened.dnsListeners.enumerated() {
            switch listener.transport {
            case .udp:
                do {
                    datagrams.append(try CapturedDatagrams(adopting: listener, of: opened.id, capture: capture))
                } catch {
                    for other in opened.dnsListeners[(index + 1)...] { close(other.socket) }
                    for stream in streams { close(stream.socket) }
                    throw error
                }
            case .tcp:
                streams.append(
                    CaptureListener(
                        socket: listener.socket, direction: .outbound, mode: listener.mode, address: listener.address))
            }
        }
    }
}

extension ResourceResult {
    init(_ change: ResourceChange) {
        self.init(
            kind: change.key.kind.rawValue, namespace: change.key.namespace, name: change.key.name,
            outcome: Outcome(change.outcome))
    }
}

extension ResourceResult.Outcome {
    init(_ outcome: ResourceChange.Outcome) {
        switch outcome {
        case .created: self = .created
        case .configured: self = .configured
        case .unchanged: self = .unchanged
        case .pruned: self = .pruned
        case .deleted: self = .deleted
        }
    }
}
