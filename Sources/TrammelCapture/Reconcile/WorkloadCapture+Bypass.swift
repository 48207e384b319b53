package import TrammelCore

/// Break-glass: a workload whose traffic goes past the agent, for as long as somebody wants it so.
extension WorkloadCapture {
    /// New connections go where they are going from now on; those under way through the agent are kept. A workload whose
    /// traffic was not turned yet has whatever a dead agent left in its namespace taken away. Again changes nothing.
    package func letPast(_ id: WorkloadID) throws {
        if plan(of: id) == nil { try uninstall(id) } else { try drain(id) }
    }

    /// The opposite.
    package func captureAgain(_ workload: OpenedWorkload) throws {
        guard plan(of: workload.id) != nil else { return try install(workload) }
        try resume(workload.id)
        let isOnHost = attachments.withLock { $0[workload.id] }?.isOnHost ?? false
        watch.withLock { $0 }?.ask(for: isOnHost ? CaptureWatch.host : workload.id)
    }
}
