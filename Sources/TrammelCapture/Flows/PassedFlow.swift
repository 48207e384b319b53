import Synchronization
package import TrammelCore

/// What metrics tell flows apart by, within a workload.
package struct FlowKind: Hashable, Sendable {
    package let transport: FlowProtocol
    package let direction: TrafficDirection
    package let reason: PassReason

    package init(_ transport: FlowProtocol, _ direction: TrafficDirection, _ reason: PassReason) {
        self.transport = transport
        self.direction = direction
        self.reason = reason
    }
}

/// All flows of one kind, those that have ended too.
package struct FlowTotals: Hashable, Sendable {
    package var flows: UInt64 = 0
    /// From whoever began them.
    package var sent = FlowTraffic.none
    package var received = FlowTraffic.none
}

/// A flow of an attached workload that the agent does not carry, while it lives.
package struct PassedFlow: Hashable, Sendable {
    /// The agent's number for it, never used again.
    package let number: UInt64
    package let workload: WorkloadID
    package let kind: FlowKind
    /// Who began it, and with whom.
    package let source: IPEndpoint
    package let destination: IPEndpoint
    /// As of the last look.
    package var sent: FlowTraffic
    package var received: FlowTraffic
    package let since: WallTime
    /// As of the last look: both ends have ended it, and the kernel still knows of it.
    var isOver = false
    /// How the kernel knows it, for whoever ends it.
    let handle: Handle

    enum Handle: Hashable, Sendable {
        case conntrack(ConntrackFlow)
        case socket(TCPSocketInfo)
    }
}

/// A flow that should have gone to the agent and did not.
package struct FlowLeak: Hashable, Sendable {
    package let workload: WorkloadID
    package let transport: FlowProtocol
    package let direction: TrafficDirection
    package let source: IPEndpoint
    package let destination: IPEndpoint
    /// Why it is likely to have happened, in a few words, and what to do.
    package let reason: String
    package let at: WallTime
}

/// Numbers for passed flows, agent-wide.
final class FlowNumbers: Sendable {
    private let last = Mutex<UInt64>(0)

    func next() -> UInt64 {
        last.withLock { last in
            last += 1
            return last
        }
    }
}
