import CNetfilter
import Glibc
import Synchronization
import TrammelCore

/// One attached namespace as the flow watch keeps it.
final class WatchedFlows: Sendable {
    let workload: OpenedWorkload
    /// The event stream; nil where the rules do not switch tracking on.
    let events: ConntrackEventSocket?
    let state: Mutex<State>

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

    init(workload: OpenedWorkload, events: ConntrackEventSocket?, state: sending State) {
        self.workload = workload
        self.events = events
        self.state = Mutex(state)
    }

    var id: WorkloadID { workload.id }
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
        var verdict = judge.verdict(flow)
        if isBypassed, case .suspect(let direction) = verdict { verdict = .passed(direction, .bypassed) }
        let kind = FlowProtocol(number: flow.transport)
        switch verdict {
        case .agents, .local, .inbound:
            return nil
        case .captured where flow.transport != UInt8(IPPROTO_TCP):
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

    mutating func ended(_ flow: ConntrackFlow, at now: MonotonicTime) {
        switch judge.verdict(flow) {
        case .captured: ledger.capturedEnded(flow, at: now)
        case .passed(let direction, let reason):
            ledger.ended(flow, otherwise: FlowKind(FlowProtocol(number: flow.transport), direction, reason))
        case .agents, .local, .inbound, .suspect: ledger.ended(flow, otherwise: nil)
        }
    }
}
