import NIOCore
package import TrammelCore

/// Workloads that are let go without tearing what they have under way.
extension DataPlane {
    /// From now on what the workload has under way comes to its end by itself: requests get their answers, which say
    /// that the connection ends, and bytes pass until either side is done. What is still accepted is carried too.
    ///
    /// `detach` ends what is left, `endDraining` takes it back.
    package func beginDraining(_ id: WorkloadID) async { _ = await loops.onEach { $0.beginDraining(id) } }

    package func endDraining(_ id: WorkloadID) async { _ = await loops.onEach { $0.endDraining(id) } }

    /// Ends those of its connections that wait for a request.
    package func closeIdle(of id: WorkloadID) async { _ = await loops.onEach { $0.closeIdle(of: id) } }

    /// How many connections the workload has, and how many of others are carried on into its network namespace.
    package func connectionsLeft(of id: WorkloadID) async -> Int {
        await loops.onEach { $0.connectionsLeft(of: id) }.reduce(0, +)
    }

    /// Closes the workload's listeners, so that others may have their places. Its connections stay, its datagrams not.
    package func stopListening(_ id: WorkloadID) async {
        let channels = takeListeners(of: id)
        for channel in channels { try? await channel.close() }
        await endDatagrams(of: id)
    }
}
