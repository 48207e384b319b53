import CNetfilter
import Glibc
import Synchronization
import TrammelCore

/// One attached workload as the flow watch keeps it.
final class WatchedFlows: Sendable {
    let workload: OpenedWorkload
    /// Where it is known from.
    let source: Source
    let state: Mutex<State>

    enum Source: Sendable {
        /// The events of its own namespace.
        case stream(FlowStream)
        /// A look at its sockets now and then, where the rules do not switch tracking on.
        case sockets
        /// The events of the host's namespace, which are everybody's (`HostFlows`).
        case host
    }

    struct State {
        var judge: FlowJudge
        var ledger: FlowLedger
        var sockets: SocketLedger
        /// A bypass, or a detach that waits for connections to end: what goes past the agent is meant to.
        var isBypassed = false
        /// How often the kernel could not tell all.
        var eventsLost: UInt64 = 0
        var leaks: [FlowProtocol: UInt64] = [:]
    }

    init(workload: OpenedWorkload, source: Source, state: sending State) {
        self.workload = workload
        self.source = source
        self.state = Mutex(state)
    }

    var id: WorkloadID { workload.id }
    /// Whether the kernel tells of each flow.
    var isTracked: Bool { if case .sockets = source { false } else { true } }
    var isOnHost: Bool { if case .host = source { true } else { false } }
}

/// A flow that should have been captured, before anybody has looked at its socket.
struct FlowSuspect {
    let flow: ConntrackFlow
    let direction: TrafficDirection
}

extension WatchedFlows.State {
    /// - Parameter isNew: it began just now; false for one that a look at the whole table has found.
    /// - Returns: it, if it should have been captured.
    mutating func began(
        _ flow: ConntrackFlow, isNew: Bool, at now: WallTime, translated: TranslatedClients
    ) -> FlowSuspect? {
        let verdict = verdict(flow)
        let kind = FlowProtocol(number: flow.transport)
        switch verdict {
        case .agents, .local, .inbound:
            return nil
        case .captured where flow.transport != UInt8(IPPROTO_TCP) || flow.reply.source == flow.original.destination:
            return nil
        case .captured:
            if ledger.captured(flow) {
                translated.add(flow.original.source, seenAs: flow.reply.destination, in: ledger.workload)
            } else if isNew {
                translated.remove(seenAs: flow.reply.destination, in: ledger.workload)
            }
            return nil
        case .passed(let direction, let reason):
            ledger.passed(flow, FlowKind(kind, direction, reason), at: now)
            return nil
        case .suspect(let direction):
            return ledger.passing[flow.id] == nil ? FlowSuspect(flow: flow, direction: direction) : nil
        }
    }

    private func verdict(_ flow: ConntrackFlow) -> FlowVerdict {
        let verdict = judge.verdict(flow)
        if isBypassed, case .suspect(let direction) = verdict { return .passed(direction, .bypassed) }
        // On the host the rules say of what comes in whether it was let past.
        if verdict == .inbound, flow.mark == judge.plan.passedMark {
            return .passed(.inbound, isBypassed ? .bypassed : .excluded)
        }
        return verdict
    }

    mutating func ended(_ flow: ConntrackFlow, at now: MonotonicTime) {
        switch verdict(flow) {
        case .captured: ledger.capturedEnded(flow, at: now)
        case .passed(let direction, let reason):
            ledger.ended(flow, otherwise: FlowKind(FlowProtocol(number: flow.transport), direction, reason))
        case .agents, .local, .inbound, .suspect: ledger.ended(flow, otherwise: nil)
        }
    }
}
