import NIOCore
import Synchronization
package import TrammelCore

/// Connections that the agent itself has asked a child process to make, to see whether capture gets hold of them: they
/// are answered with a greeting and nothing else. While there are none, a connection costs one read of a number.
package final class PendingProbes: Sendable {
    package struct Probe: Hashable, Sendable {
        package let workload: WorkloadID
        package let direction: TrafficDirection
        /// The port that it comes from.
        package let port: UInt16
        package let target: IPEndpoint

        package init(workload: WorkloadID, direction: TrafficDirection, port: UInt16, target: IPEndpoint) {
            self.workload = workload
            self.direction = direction
            self.port = port
            self.target = target
        }
    }

    private let count = Atomic<Int>(0)
    private let state = Mutex(State())
    private let greeting: String

    private struct State {
        var expected: Set<Probe> = []
        var arrived: Set<Probe> = []
    }

    /// - Parameter greeting: what a probe that has arrived is told.
    package init(greeting: String) { self.greeting = greeting }

    package func expect(_ probe: Probe) { change { $0.expected.insert(probe) } }

    package func forget(_ probe: Probe) {
        change { state in
            state.expected.remove(probe)
            state.arrived.remove(probe)
        }
    }

    /// Whether one that is not forgotten yet was accepted.
    package func hasArrived(_ probe: Probe) -> Bool { state.withLock { $0.arrived.contains(probe) } }

    private func change(_ body: (inout State) -> Void) {
        state.withLock { state in
            body(&state)
            count.store(state.expected.count, ordering: .relaxed)
        }
    }

    /// Whether a connection is one of them. On the connection's loop.
    func takes(
        _ workload: WorkloadID, _ direction: TrafficDirection, _ client: ClientAddress,
        _ destination: OriginalDestination
    ) -> Bool {
        guard count.load(ordering: .relaxed) > 0 else { return false }
        let probe = Probe(
            workload: workload, direction: direction, port: client.endpoint.port, target: destination.endpoint)
        return state.withLock { state in
            guard state.expected.remove(probe) != nil else { return false }
            state.arrived.insert(probe)
            count.store(state.expected.count, ordering: .relaxed)
            return true
        }
    }

    func answer(_ channel: any Channel) {
        channel.writeAndFlush(ByteBuffer(string: greeting)).whenComplete { _ in channel.close(promise: nil) }
    }
}
