import TrammelCapture
import TrammelControlAPI
import TrammelCore

/// A workload that was detached while it had connections under way through the agent: they live to their end, and then
/// nothing of the agent's is left. Its name is free meanwhile, and so is what was attached.
struct DrainingWorkload: Sendable {
    let attachment: Attachment
    let since: MonotonicTime
    /// Connections of its own, and of others that are carried on to it.
    var connections = 0
    /// Since when the agent carries none, and only the kernel has a last word to pass on.
    var quietSince: MonotonicTime?

    /// As the control API tells of it.
    var described: TrammelControlAPI.AttachedWorkload {
        var described = attachment.described(connections: connections)
        described.state = .draining
        described.reason =
            "detached; \(connections == 1 ? "1 connection lives" : "\(connections) connections live") to the end, "
            + "new ones are not captured"
        return described
    }

    /// Nanoseconds after which connections that wait for a request are closed. Those in use have been told by then that
    /// they end.
    static let patience: UInt64 = 5_000_000_000
    /// Nanoseconds for which sockets without a connection behind them are waited for: a last acknowledgement that is
    /// lost costs its peer an error at most.
    static let lastWords: UInt64 = 2_000_000_000
}

/// Has Mesh look at the workloads that drain, and forget connections that have ended.
struct DrainWatch: Sendable {
    let mesh: Mesh

    /// Until the task is cancelled.
    func run() async {
        var turn = 0
        while (try? await Task.sleep(for: .milliseconds(200))) != nil {
            await mesh.lookAtDraining()
            turn += 1
            if turn % 10 == 0 {
                await DrainWatch.forgetEnded(of: await mesh.attachments.values.map(\.id), mesh.capture)
            }
        }
    }

    /// Off the caller's actor, for it asks the kernel. One that is gone meanwhile has nothing to forget.
    @concurrent private static func forgetEnded(of workloads: [WorkloadID], _ capture: WorkloadCapture) async {
        for workload in workloads { try? capture.forgetEndedConnections(of: workload) }
    }
}
