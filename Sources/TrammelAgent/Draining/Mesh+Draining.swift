import TrammelCapture
import TrammelConfig
import TrammelControlAPI
import TrammelCore
import TrammelProxy

/// Letting go of a workload: at once, or when what it has under way has come to its end.
extension Mesh {
    /// - Parameter atOnce: ends its connections, also where it drains already.
    @discardableResult
    func detachNow(_ name: WorkloadName, atOnce: Bool = false) async throws -> DetachResult {
        if try forgetAbsent(name) { return DetachResult(namespace: name.namespace, name: name.name) }
        if let attachment = attachments[name] {
            if !atOnce { return try await drain(attachment) }
            // While its connections end, for what ends them has to find its way too.
            try capture.drain(attachment.id, isLeaving: true)
            bypass.end(name, forget: true)
            ledger.forget(attachment.id)
            attachments[name] = nil
            ports[attachment.id] = nil
            await dataPlane?.detach(attachment.id, endingCallsInto: attachment.host == nil)
            defer { capture.close(attachment.id) }
            await publish()
            try capture.uninstall(attachment.id)
            try store.forget(name)
            return DetachResult(namespace: name.namespace, name: name.name)
        }
        let leaving = draining.values.filter { $0.attachment.name == name }
        guard !leaving.isEmpty else {
            throw TrammelError(
                .notFound, code: "workload-unknown", "no workload \(name) is attached",
                hint: "`trammel workloads` lists them")
        }
        if atOnce { for workload in leaving { await end(workload) } }
        return DetachResult(
            namespace: name.namespace, name: name.name,
            connections: atOnce ? 0 : leaving.reduce(0) { $0 + $1.connections })
    }

    /// New connections go direct when this returns.
    private func drain(_ attachment: Attachment) async throws -> DetachResult {
        let name = attachment.name
        try capture.drain(attachment.id, isLeaving: true)
        bypass.end(name, forget: true)
        ledger.forget(attachment.id)
        // An agent that dies before the end leaves word of what it has left in the kernel.
        var memory = try memory(of: attachment)
        memory.isDraining = true
        try? store.keep(
            StateStore.Attachment(workload: drainingName(attachment), payload: memory.payload()))
        try store.forget(name)
        attachments[name] = nil
        ports[attachment.id] = nil
        draining[attachment.id] = DrainingWorkload(attachment: attachment, since: .now())
        await publish()
        await dataPlane?.beginDraining(attachment.id)
        // Most have nothing under way; then nothing is left when the caller is answered.
        for _ in 0..<10 {
            await lookNow(atDraining: attachment.id)
            guard let left = draining[attachment.id], left.connections == 0 else { break }
            try? await Task.sleep(for: .milliseconds(20))
        }
        return DetachResult(
            namespace: name.namespace, name: name.name, connections: draining[attachment.id]?.connections ?? 0)
    }

    // MARK: Until the end

    /// To be called over and over.
    func lookAtDraining() async {
        guard !draining.isEmpty else { return }
        // Nothing in it throws.
        try? await changes.run {
            for id in await self.draining.keys.sorted(by: { $0.rawValue < $1.rawValue }) {
                await self.lookNow(atDraining: id)
            }
        }
    }

    private func lookNow(atDraining id: WorkloadID) async {
        guard var workload = draining[id], let dataPlane else { return }
        let attachment = workload.attachment
        if attachment.host == nil, case .gone = whereabouts(of: attachment) { return await end(workload) }
        let now = MonotonicTime.now()
        if now.nanoseconds - workload.since.nanoseconds > DrainingWorkload.patience {
            await dataPlane.closeIdle(of: id)
        }
        workload.connections = await dataPlane.connectionsLeft(of: id)
        // The kernel may hold one that is accepted yet, and the last words of one that has ended.
        let sockets = (try? capture.socketsInUse(of: id)).flatMap { $0 } ?? 0
        if workload.connections > 0 {
            workload.quietSince = nil
        } else if sockets == 0
            || now.nanoseconds - (workload.quietSince ?? now).nanoseconds > DrainingWorkload.lastWords
        {
            return await end(workload)
        } else {
            workload.quietSince = workload.quietSince ?? now
        }
        draining[id] = workload
    }

    /// What is under way still is torn.
    private func end(_ workload: DrainingWorkload) async {
        let attachment = workload.attachment
        draining[attachment.id] = nil
        // First, for what ends them has to find its way too.
        await dataPlane?.detach(attachment.id, endingCallsInto: attachment.host == nil)
        do {
            try capture.uninstall(attachment.id)
            try store.forget(drainingName(attachment))
        } catch {
            logger.about(attachment.name).warning(
                "\(attachment.name) has drained, and something of it is left: \(error)")
        }
        capture.close(attachment.id)
    }

    /// The agent ends: so do the connections that it carries.
    func endDraining() async {
        for workload in draining.values { await end(workload) }
    }

    /// What is to be attached may be draining still: its listeners make room for the next ones, and its connections go
    /// on to their end.
    func makeRoom(for identity: CaptureIdentity) async {
        for workload in draining.values where workload.attachment.opened.identity == identity {
            await dataPlane?.stopListening(workload.attachment.id)
            capture.dropListeners(of: workload.attachment.id)
        }
    }

    /// What drains of a network namespace that is about to be captured the other way is torn, while its rules still stand:
    /// those of the other way do not keep its connections together. On the host both ways stand side by side.
    /// - Returns: a word on what has ended.
    func endDraining(insteadOf opened: OpenedWorkload) async -> [String] {
        let mode = opened.plan.outboundMode
        var words: [String] = []
        for workload in draining.values where workload.attachment.opened.identity == opened.identity {
            let attachment = workload.attachment
            let other = attachment.opened.plan.outboundMode
            guard other != mode, attachment.host == nil else { continue }
            await end(workload)
            guard workload.connections > 0 else { continue }
            let count = workload.connections
            words.append(
                "\(count == 1 ? "1 connection" : "\(count) connections") that \(attachment.name) had when it was detached "
                    + "\(count == 1 ? "ends" : "end") with this, for \(mode.rawValue) takes the place of "
                    + "\(other.rawValue); with `--capture-mode \(other.rawValue)` nothing would have ended")
        }
        return words
    }

    private func whereabouts(of attachment: Attachment) -> NamespaceWhereabouts {
        NamespaceWhereabouts.find([(attachment.opened.namespace, attachment.reachedBy)]).first ?? .present
    }

    // MARK: Start

    /// Takes away what an agent that died while workloads drained has left of them, except where the same is attached
    /// again: there the rules are about to be replaced.
    /// - Returns: those that are attached.
    func endDrained(_ kept: [KeptAttachment]) throws -> [KeptAttachment] {
        let attached = kept.filter { $0.known?.isDraining != true }
        let inodes = Set(attached.compactMap { $0.known?.inode })
        for kept in kept {
            guard let memory = kept.known, memory.isDraining == true else { continue }
            if !memory.isOfHost, !inodes.contains(memory.inode), memory.isOfThisBoot,
                let target = capture.find(
                    again: memory.request.namespaceTarget, inode: memory.inode, cookie: memory.cookie)
            {
                for outcome in try CaptureCleanup.run(in: [target]) {
                    if let failure = outcome.failure {
                        logger.about(kept.workload).warning("\(kept.workload) is not wholly let go: \(failure)")
                    }
                }
            }
            try store.forget(kept.workload)
        }
        return attached
    }

    /// No workload can have this name, and none that drains has another's.
    private func drainingName(_ attachment: Attachment) -> WorkloadName {
        WorkloadName(namespace: attachment.name.namespace, name: "\(attachment.name.name)~\(attachment.id.rawValue)")
    }
}
