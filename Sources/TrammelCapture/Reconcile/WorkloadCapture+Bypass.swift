package import TrammelCore

/// Break-glass: a workload whose traffic goes past the agent, for as long as somebody wants it so.
extension WorkloadCapture {
    /// New connections go where they are going from now on; those under way through the agent are kept. A workload whose
    /// traffic was not turned yet has whatever a dead agent left in its namespace taken away. Again changes nothing.
    package func letPast(_ id: WorkloadID) throws {
        try uninstall(id)
    }

    /// The opposite.
    package func captureAgain(_ workload: OpenedWorkload) throws {
        try install(workload)
    }
}
