import CTrammelLinux
import Glibc
import Logging
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
    var attachments: [WorkloadName: Attachment] = [:]
    private(set) var snapshot: RuntimeSnapshot
    private(set) var vips: VIPAllocator
    /// Mesh+Attaching has what it is for.
    var nextWorkload: UInt32 = 1
    private var version: UInt64 = 1
    private let compiler = SnapshotCompiler()
    let capture: WorkloadCapture
    /// Draining/ has what lets go of them.
    var draining: [WorkloadID: DrainingWorkload] = [:]
    let labels: LabelRegistry
    private(set) var dataPlane: DataPlane?
    let settings: AgentSettings
    private var targets = TargetPorts()
    var ports: [WorkloadID: PortReadiness] = [:]
    let store: StateStore
    let changes = ChangeQueue()
    /// What those who watch the resources read.
    let feed = ChangeFeed()
    private var resolver: NameResolver?
    /// What is known of the names in `wantedNames`.
    private(set) var resolved: [String: ResolvedAddresses] = [:]
    private var wantedNames = WantedNames()
    let logger: Logger
    /// Reconciling/ has who fills it.
    let ledger: RepairLedger
    let bypass: Bypass
    /// Directory/ has what keeps it.
    var directory = ConfigFiles()
    /// Appearing/ has what keeps it.
    var appearing = AppearingWorkloads()
    /// What is known and not there, or could not be taken up: Reconciling/ has who sees to it.
    var absent: [WorkloadName: AbsentWorkload] = [:]
    let finder: TargetFinder
    let cgroupWatch = CgroupWatch()

    init(
        capture: WorkloadCapture, labels: LabelRegistry, store: StateStore, settings: AgentSettings, logger: Logger,
        ledger: RepairLedger, bypass: Bypass
    ) {
        self.ledger = ledger
        self.bypass = bypass
        self.logger = logger
        self.store = store
        vips = VIPAllocator(ranges: settings.vips)
        self.capture = capture
        self.labels = labels
        self.settings = settings
        snapshot = .empty
        finder = TargetFinder(capture: capture)
    }

    func serve(through dataPlane: DataPlane, resolvingBy resolver: NameResolver) {
        self.dataPlane = dataPlane
        self.resolver = resolver
    }

    // MARK: Workloads

    func attach(_ request: AttachRequest) async throws -> AttachResult {
        let result = try await changes.run { try await self.attachNow(request) }
        let name = request.identity.name
        if result.outcome != .unchanged { logger.about(name).info("\(name) is attached, as it was asked for") }
        return result
    }

    func detach(_ name: WorkloadName, atOnce: Bool) async throws -> DetachResult {
        let result = try await changes.run {
            try await self.refuseDeclared(name)
            return try await self.detachNow(name, atOnce: atOnce)
        }
        logger.about(name).info("\(name) is detached, as it was asked for")
        return result
    }

    // MARK: Namespaces that end

    /// Lets go of the workloads whose network namespaces are gone. To be called over and over.
    func lookAtNamespaces() async {
        let held = attachments.values.filter { $0.host == nil }.map { ($0.id, $0.opened.namespace, $0.reachedBy) }
        let found = await NamespaceWatch.look(at: held.map { ($0.1, $0.2) })
        let changed = Set(zip(held, found).filter { $1 != .present }.map(\.0.0))
        guard !changed.isEmpty else { return }
        // Nothing in it throws.
        try? await changes.run { await self.letGoNow { changed.contains($0.id) } }
    }

    /// Looks once more at those that `isMeant`, since each may have been changed meanwhile.
    func letGoNow(_ isMeant: (Attachment) -> Bool) async {
        let meant = attachments.values.filter { $0.host == nil && isMeant($0) }
        guard !meant.isEmpty else { return }
        var hasChanged = false
        let found = NamespaceWhereabouts.find(meant.map { ($0.opened.namespace, $0.reachedBy) })
        for (attachment, whereabouts) in zip(meant, found) {
            switch whereabouts {
            case .present: break
            case .presentWith(let process):
                attachments[attachment.name]?.reachedBy = .pid(process)
            case .gone(let process):
                await letGo(attachment, leaving: process)
                hasChanged = true
            }
        }
        if hasChanged { await publish() }
    }

    /// The rules stay, as whenever nobody has asked for a detach. They go with the namespace; where something keeps it
    /// after all, a process that has lost its name or one that is yet to come, that is refused rather than let past
    /// every policy, until it is attached again.
    ///
    /// - Parameter process: one that lives on in the namespace.
    private func letGo(_ attachment: Attachment, leaving process: Int32?) async {
        var words = "\(attachment.name) is let go of: the \(attachment.opened.namespace.target) is gone"
        if let process {
            words += "; process \(process) lives on in it and is refused every connection until it is attached again, "
            words += "by --pid \(process)"
        }
        do {
            try store.forget(attachment.name)
        } catch {
            words += "; it is still in the store, until a restart: \(error)"
        }
        attachments[attachment.name] = nil
        ports[attachment.id] = nil
        bypass.end(attachment.name)
        ledger.forget(attachment.id)
        await dataPlane?.detach(attachment.id, endingCallsInto: true)
        capture.close(attachment.id)
        logger.about(attachment.name).notice("\(words)")
    }

    // MARK: Resources

    func apply(_ request: ApplyRequest) async throws -> ApplyResult {
        try await changes.run { try await self.applyNow(request) }
    }

    private func applyNow(_ request: ApplyRequest) async throws -> ApplyResult {
        var options = DecodingOptions(namespace: request.namespace, checkRegex: RegularExpression.problem)
        options.warnUnknown = request.warnUnknown
        options.skipUnimplemented = request.skipUnimplemented
        let batch = try ResourceDecoder.decode(
            request.documents.map { (file: $0.path, bytes: Array($0.text.utf8)) }, options: options)
        // A pipe that broke is no wish to have nothing, still less to prune all that there is.
        guard !batch.resources.isEmpty || (!batch.warnings.isEmpty && !request.prune) else {
            throw TrammelError(
                .invalid, code: "nothing-to-apply", "there is no resource in what is to be applied",
                hint: "trammel delete is what takes resources away")
        }
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
        let warnings = try await settle(applied, dryRun: request.dryRun)
        return ApplyResult(
            results: applied.changes.map(ResourceResult.init), warnings: warnings, dryRun: request.dryRun)
    }

    /// Makes a change that has been judged, or finds out whether it could be made.
    /// - Returns: what there is to warn of.
    func settle(_ applied: AppliedBatch, dryRun: Bool) async throws -> [String] {
        let compiled: [CompileWarning]
        if dryRun {
            var next = vips
            next.take(try next.plan(written: applied.writtenResources, removed: applied.removed, now: .now()))
            compiled =
                SnapshotCompiler().compile(
                    resources: applied.set.resources, workloads: facts, resolved: resolved, version: version,
                    vips: next.addresses(of:)
                ).warnings
        } else {
            compiled = try await commit(applied)
        }
        let changed = Set(applied.changes.map(\.key))
        // What contradicts or names nothing has been said already, by those who check the resources.
        let idle = compiled.filter { $0.code == .withoutEffect && changed.contains($0.resource) }
        return applied.warnings.map(\.description) + idle.map(\.description)
    }

    func delete(_ key: ResourceKey, _ condition: WriteCondition) async throws -> ResourceResult {
        try await changes.run { try await self.deleteNow(key, condition) }
    }

    private func deleteNow(_ key: ResourceKey, _ condition: WriteCondition) async throws -> ResourceResult {
        guard let entry = set.entries[key] else {
            throw TrammelError(
                .notFound, code: "resource-unknown", "there is no \(key)", hint: "`trammel get` lists what there is")
        }
        try condition.check(key, entry)
        let applied = try set.deleting([key])
        _ = try await commit(applied)
        return ResourceResult(kind: key.kind.rawValue, namespace: key.namespace, name: key.name, outcome: .deleted)
    }

    /// Durable first, then live: what a caller was told is there after a crash too.
    /// - Parameter evenUnsaved: what is in files is durable without the store.
    /// - Returns: what the compiler had to say.
    func commit(_ applied: AppliedBatch, evenUnsaved: Bool = false) async throws -> [CompileWarning] {
        guard applied.isChange else { return [] }
        let plan = try vips.plan(written: applied.writtenResources, removed: applied.removed, now: .now())
        try store.commit(applied, vips: plan.changes, evenUnsaved: evenUnsaved)
        vips.take(plan)
        let before = set
        take(applied)
        if applied.touches(.workload) { Task { await lookForWorkloads() } }
        feed.expect(applied.set.version)
        let warnings = await publish(
            ResourceChanges(written: applied.writtenResources, removed: applied.removed))
        // A large apply leaves the allocator holes of the size of its documents.
        if applied.written.count > 1000 { trammel_give_memory_back() }
        // Last: what a watcher is told is live.
        feed.publish(applied, after: before)
        return warnings
    }

    /// What follows from resources costs a walk over all of them, so it is looked at only where theirs have changed.
    private func take(_ applied: AppliedBatch) {
        set = applied.set
        if applied.touches(.serviceEntry) || applied.touches(.workloadEntry) { wantNames() }
        if applied.touches(.serviceEntry) || applied.touches(.service) { expectPorts() }
    }

    private func wantNames() {
        wantedNames = set.namesToResolve
        resolved = resolved.filter { wantedNames.contains($0.key) }
        resolver?.want(wantedNames)
    }

    private func expectPorts() {
        targets = TargetPorts(set.entries.values)
        for attachment in attachments.values {
            let known = ports[attachment.id]
            if known?.notListening.isEmpty ?? false, known?.expected == targets.ports(of: attachment) {
                continue
            }
            ports[attachment.id] = look(at: attachment)
        }
    }

    // MARK: Names

    /// Takes what has become known of names, and puts it in force where calls now lead elsewhere.
    func resolved(_ names: [String: ResolvedAddresses]) async {
        // Nothing in it throws.
        try? await changes.run { await self.resolvedNow(names) }
    }

    private func resolvedNow(_ names: [String: ResolvedAddresses]) async {
        var hasMoved = false
        // What came too late for a name that is not wanted any more is passed over.
        for (name, value) in names where wantedNames.contains(name) {
            hasMoved = hasMoved || !value.leads(whereDoes: resolved[name])
            resolved[name] = value
        }
        if hasMoved { await publish() }
    }

    /// Returns when something is known of every name that is wanted, or after a while: a call that has waited for the agent
    /// to start is not to fail for an address that is on its way.
    func untilNamesAreKnown(within patience: Duration) async {
        let end = ContinuousClock.now + patience
        while !wantedNames.names.allSatisfy({ resolved[$0] != nil }), ContinuousClock.now < end,
            (try? await Task.sleep(for: .milliseconds(10))) != nil
        {}
    }

    // MARK: Snapshots

    @discardableResult
    func publish(_ changes: ResourceChanges = ResourceChanges()) async -> [CompileWarning] {
        version += 1
        let compiled = compiler.update(
            changes, workloads: facts, resolved: resolved, version: version, vips: vips.addresses(of:))
        snapshot = compiled.snapshot
        await dataPlane?.publish(compiled.snapshot)
        return compiled.warnings
    }

    private var facts: [WorkloadFacts] { attachments.values.map { $0.facts(ports[$0.id] ?? PortReadiness()) } }

    // MARK: Readiness

    /// Looks again at the workloads of which a service expects a port that nothing listened on.
    func lookAtUnready() async {
        let unready = attachments.values.filter { !(ports[$0.id]?.notListening.isEmpty ?? true) }
        guard !unready.isEmpty else { return }
        // Nothing in it throws.
        try? await changes.run { await self.lookNow(at: unready.map(\.id)) }
    }

    /// Looks again at a workload that refused a connection.
    func look(at workload: WorkloadID) async {
        followListeners(of: [workload])
        try? await changes.run { await self.lookNow(at: [workload]) }
    }

    func lookNow(at workloads: [WorkloadID]) async {
        let wanted = Set(workloads)
        var hasChanged = false
        for attachment in attachments.values where wanted.contains(attachment.id) {
            let seen = look(at: attachment)
            guard seen != ports[attachment.id] else { continue }
            ports[attachment.id] = seen
            hasChanged = true
        }
        if hasChanged { await publish() }
    }

    /// Where the kernel does not tell, what was known stays so.
    func look(at attachment: Attachment) -> PortReadiness {
        let expected = targets.ports(of: attachment)
        guard !expected.isEmpty, let listening = try? capture.listeningSockets(of: attachment.id) else {
            return expected.isEmpty ? PortReadiness() : ports[attachment.id] ?? PortReadiness(expected: expected)
        }
        return PortReadiness(expected: expected, listening, addresses: attachment.namespaceFacts.addresses)
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
            options: DecodingOptions(checkRegex: RegularExpression.problem))
        set = restored.set
        vips = VIPAllocator(ranges: settings.vips, records: try store.vips())
        let moved = try vips.allocate(for: set, now: .now())
        store.keepIfPossible(moved)
        wantNames()
        expectPorts()
        feed.begin(at: restored.set.version)
        var troubles = restored.errors.map(\.description)
        await publish(ResourceChanges(written: set.resources))
        troubles += try await takeUp(try store.attachments().map(KeptAttachment.init))
        await publish()
        return troubles + releaseAnnounced()
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
