import CNetfilter
import CTrammelLinux
import Glibc
import Synchronization
package import TrammelCore

/// Conntrack, and sock_diag where nothing is tracked, as instruments: what of the attached workloads' traffic goes past
/// the agent, how much of it, and whether it was meant to.
///
/// Where a workload's rules redirect, the kernel tracks, and tells of each flow as it begins and ends; one thread reads
/// these events for all workloads. Where they use tproxy alone nothing is tracked, so that the sockets are looked at
/// instead, from time to time (`FlowWatch+Sockets`). The host's workloads share their namespace with everybody, and the
/// rules say in the connections' marks whose they are (`HostFlows`). A netlink socket keeps a namespace alive, so each
/// is closed when its workload is let go.
package final class FlowWatch: Sendable {
    /// Leaks as they are found; the newest where nobody reads them.
    package let leaks: AsyncStream<FlowLeak>
    package let translated = TranslatedClients()
    let sockets: NamespaceSockets
    let agent: AgentCgroup
    let rules: HostCapture
    /// While the host has members.
    let host = Mutex<HostFlows?>(nil)
    /// What was amiss in the host's table when last looked at: a look costs the whole of it.
    let driftOnHost = Mutex<(workload: WorkloadID?, at: MonotonicTime, drift: [String])>(
        (nil, MonotonicTime(nanoseconds: 0), []))
    private let found: AsyncStream<FlowLeak>.Continuation
    /// Of `leaks`; whoever takes one out counts it out.
    package let waitingLeaks = QueueDepth(limit: 256)
    let numbers = FlowNumbers()
    private let watched = Mutex<[WorkloadID: WatchedFlows]>([:])
    private let reader = Mutex<FlowReader?>(nil)

    init(sockets: NamespaceSockets, agent: AgentCgroup, host: HostCapture) {
        self.sockets = sockets
        self.agent = agent
        rules = host
        (leaks, found) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(waitingLeaks.limit))
    }

    deinit {
        found.finish()
        reader.withLock { $0?.stop() }
    }

    /// From now on. What is there already is older than the capture. Once more for the same workload: the rules it is
    /// judged by have changed.
    ///
    /// Accounting is no reason to refuse an attach, so whatever fails is left out.
    func begin(_ workload: OpenedWorkload, _ plan: CapturePlan) {
        guard workload.plan.place.hostIndex == nil else { return beginOnHost(workload, plan) }
        let own = Set(workload.facts.interfaces.map(\.address))
        if let known = self[workload.id] {
            return known.state.withLock { $0.judge = FlowJudge(plan: plan, own: $0.judge.own.union(own)) }
        }
        let events: ConntrackEventSocket?
        do {
            events =
                plan.outboundMode == .redirect
                ? try sockets.withNetworkNamespace(of: workload.id) { try ConntrackEventSocket() } : nil
        } catch {
            events = nil
        }
        let stream = events.map { FlowStream(.workload(workload.id), $0) }
        let state = WatchedFlows.State(
            judge: FlowJudge(plan: plan, own: own), ledger: FlowLedger(workload: workload.id, numbers: numbers),
            sockets: SocketLedger(accounts: stream == nil))
        let watched = WatchedFlows(
            workload: workload, source: stream.map(WatchedFlows.Source.stream) ?? .sockets, state: state)
        self.watched.withLock { $0[workload.id] = watched }
        guard let stream else { return }
        compare(watched, isFirst: true)
        try? startReading().add(stream)
    }

    /// Lets go of the workload and its namespace. One that is not watched is no error.
    func end(_ workload: WorkloadID) {
        guard let gone = watched.withLock({ $0.removeValue(forKey: workload) }) else { return }
        switch gone.source {
        case .stream(let stream): reader.withLock { $0?.remove(stream) }
        case .host: endOnHost(gone)
        case .sockets: break
        }
    }

    /// What passes the agent from now on is meant to, or is not any more.
    package func setBypassed(_ isBypassed: Bool, _ workload: WorkloadID) {
        self[workload]?.state.withLock { $0.isBypassed = isBypassed }
    }

    subscript(workload: WorkloadID) -> WatchedFlows? { watched.withLock { $0[workload] } }

    var all: [WatchedFlows] { watched.withLock { Array($0.values) } }

    func stopReading(_ stream: FlowStream) { reader.withLock { $0?.remove(stream) } }

    func watch(_ watched: WatchedFlows) { self.watched.withLock { $0[watched.id] = watched } }

    func startReading() throws -> FlowReader {
        try reader.withLock { reader in
            if let reader { return reader }
            let made = try FlowReader { [weak self] owner, events, hasLost in
                guard let self else { return }
                switch owner {
                case .workload(let id):
                    if let watched = self[id] { take(events, of: watched, hasLost: hasLost) }
                case .host:
                    self.host.withLock { $0 }?.take(events, hasLost: hasLost)
                }
            }
            reader = made
            return made
        }
    }

    // MARK: Events

    func take(_ events: [ConntrackEvent], of watched: WatchedFlows, hasLost: Bool) {
        let wall = WallTime.now()
        let now = MonotonicTime.now()
        let suspects = watched.state.withLock { state in
            var suspects: [FlowSuspect] = []
            for event in events {
                switch event {
                case .new(let flow):
                    if let suspect = state.began(flow, isNew: true, at: wall, translated: translated) {
                        suspects.append(suspect)
                    }
                case .destroyed(let flow):
                    state.ended(flow, at: now)
                }
            }
            if hasLost { state.eventsLost += 1 }
            return suspects
        }
        if !suspects.isEmpty { confirm(suspects, of: watched) }
        if hasLost { compare(watched, isFirst: false) }
    }

    /// Looks at the whole table, on the thread that reads the events or before it does.
    /// - Parameter isFirst: what is there is older than the capture.
    private func compare(_ watched: WatchedFlows, isFirst: Bool) {
        var flows: [ConntrackFlow] = []
        do {
            try sockets.withNetworkNamespace(of: watched.id) {
                var table = try ConntrackSocket()
                try table.flows { flows.append($0) }
            }
        } catch {
            return  // The namespace is gone, and the watch ends with it.
        }
        let now = WallTime.now()
        let suspects = watched.state.withLock { state in
            var suspects: [FlowSuspect] = []
            for flow in flows {
                state.ledger.update(flow)
                guard let suspect = state.began(flow, isNew: false, at: now, translated: translated) else { continue }
                if isFirst {
                    let kind = FlowKind(FlowProtocol(number: flow.transport), suspect.direction, .older)
                    state.ledger.passed(flow, kind, at: now)
                } else {
                    suspects.append(suspect)
                }
            }
            state.ledger.keepOnly(Set(flows.map(\.id)))
            return suspects
        }
        if !suspects.isEmpty { confirm(suspects, of: watched) }
    }

    /// Looks at the sockets of flows that bear no sign of capture. One that is the agent's after all, from while the
    /// rules were away, is none of interest.
    private func confirm(_ suspects: [FlowSuspect], of watched: WatchedFlows) {
        let plan = watched.state.withLock { $0.judge.plan }
        let owners = agent.family
        var drift: [String] = []
        var kept: [(FlowSuspect, isKnown: Bool)] = []
        do {
            try sockets.withNetworkNamespace(of: watched.id) {
                drift = try InstalledRules(comparing: plan, hasIPv6: watched.workload.facts.hasIPv6).drift
                var diagnostics = try SocketDiagnostics()
                for (index, suspect) in suspects.enumerated() {
                    let tuple = suspect.flow.original
                    let socket =
                        index < FlowWatch.mostLookups
                        ? try diagnostics.socket(suspect.flow.transport, tuple.source, tuple.destination) : nil
                    if let cgroup = socket?.cgroup, owners.contains(cgroup) { continue }
                    kept.append((suspect, socket != nil))
                }
            }
        } catch {
            return
        }
        for (suspect, isKnown) in kept {
            // Without rules the agent's own flows bear no mark either, and one that ended at once cannot be told apart.
            guard isKnown || drift.isEmpty else { continue }
            let flow = suspect.flow
            let reason = FlowWatch.reason(flow, drift: drift)
            let kind = FlowKind(FlowProtocol(number: flow.transport), suspect.direction, .leak)
            let isNew = watched.state.withLock { state in
                guard state.ledger.passing[flow.id] == nil else { return false }
                state.ledger.passed(flow, kind, at: .now())
                return true
            }
            if isNew { report(kind, flow.original.source, flow.original.destination, reason, of: watched) }
        }
    }

    func report(
        _ kind: FlowKind, _ source: IPEndpoint, _ destination: IPEndpoint, _ reason: String, of watched: WatchedFlows
    ) {
        watched.state.withLock { $0.leaks[kind.transport, default: 0] += 1 }
        let leak = FlowLeak(
            workload: watched.id, transport: kind.transport, direction: kind.direction, source: source,
            destination: destination, reason: reason, at: .now())
        waitingLeaks.note(found.yield(leak))
    }

    static func reason(_ flow: ConntrackFlow, drift: [String]) -> String {
        if let first = drift.first { return "the rules are not as they should be: \(first)" }
        if flow.reply.source != flow.original.destination {
            return "another rule took it first and sent it to \(flow.reply.source); "
                + "look for NAT in other tables: nft list ruleset"
        }
        return "the rules are in place now; another table may accept it first, or they were away when it began"
    }

    /// Of sockets, for one batch of events.
    private static let mostLookups = 64
}
