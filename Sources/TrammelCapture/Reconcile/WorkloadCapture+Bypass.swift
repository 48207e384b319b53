package import TrammelCore

/// Break-glass: a workload whose traffic goes past the agent, for as long as somebody wants it so.
extension WorkloadCapture {
    /// New connections go where they are going from now on; those under way through the agent are kept. A workload whose
    /// traffic was not turned yet has whatever a dead agent left in its namespace taken away. Again changes nothing.
    package func letPast(_ id: WorkloadID) throws {
        if plan(of: id) == nil { try uninstall(id) } else { try drain(id) }
    }

    /// The same for many at once.
    /// - Returns: of which it could not be brought about, and why.
    package func letPast(_ ids: [WorkloadID]) -> [WorkloadID: any Error] {
        setOnHost(.draining, ids)
        return failures(ids) { try self.letPast($0) }
    }

    /// The opposite.
    package func captureAgain(_ workload: OpenedWorkload) throws {
        guard plan(of: workload.id) != nil else { return try install(workload) }
        try resume(workload.id)
        let isOnHost = attachments.withLock { $0[workload.id] }?.isOnHost ?? false
        watch.withLock { $0 }?.ask(for: isOnHost ? CaptureWatch.host : workload.id)
    }

    /// The same for many at once.
    /// - Returns: of which it could not be brought about, and why.
    package func captureAgain(_ workloads: [OpenedWorkload]) -> [WorkloadID: any Error] {
        setOnHost(.capturing, workloads.map(\.id))
        let byID = Dictionary(workloads.map { ($0.id, $0) }) { first, _ in first }
        return failures(workloads.map(\.id)) { id in
            if let workload = byID[id] { try self.captureAgain(workload) }
        }
    }

    /// Members of the host share their tables, which are changed once for all of them; nothing is left to change of the
    /// rules when each is seen to by itself. Should that fail, it fails for each again.
    private func setOnHost(_ phase: CapturePhase, _ ids: [WorkloadID]) {
        let turned = ids.filter { id in
            guard let attachment = attachments.withLock({ $0[id] }), attachment.isOnHost else { return false }
            return attachment.installed.withLock { $0 } != nil
        }
        if turned.count > 1 { try? host.set(phase, for: turned) }
    }

    private func failures(
        _ ids: [WorkloadID], _ body: @escaping @Sendable (WorkloadID) throws -> Void
    ) -> [WorkloadID: any Error] {
        let outcomes = ManyThreads.map(ids) { id -> (any Error)? in
            do {
                try body(id)
                return nil
            } catch {
                return error
            }
        }
        return Dictionary(zip(ids, outcomes).compactMap { id, error in error.map { (id, $0) } }) { first, _ in first }
    }
}
