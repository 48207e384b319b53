import CNetfilter
import Glibc
import TrammelCore

/// Members of the host, whose flows are among everybody's.
extension FlowWatch {
    func beginOnHost(_ workload: OpenedWorkload, _ plan: CapturePlan) {
        if let known = self[workload.id] {
            known.state.withLock { $0.judge = FlowJudge(plan: plan, own: $0.judge.own) }
            host.withLock { $0 }?.noteOlder(plan, of: known)
            return
        }
        guard let host = try? startOnHost() else { return }
        let state = WatchedFlows.State(
            judge: FlowJudge(plan: plan, own: Set(workload.facts.interfaces.map(\.address))),
            ledger: FlowLedger(workload: workload.id, numbers: numbers), sockets: SocketLedger(accounts: false))
        let watched = WatchedFlows(workload: workload, source: .host, state: state)
        watch(watched)
        host.add(watched, plan)
    }

    func endOnHost(_ watched: WatchedFlows) {
        let unused = host.withLock { host -> HostFlows? in
            guard let known = host, known.remove(watched) else { return nil }
            host = nil
            return known
        }
        if let unused { stopReading(unused.stream) }
    }

    private func startOnHost() throws -> HostFlows {
        try host.withLock { host in
            if let host { return host }
            let made = try HostFlows(
                agent: agent, settings: rules.settings,
                HostFlows.Reporting(
                    translated: translated,
                    leak: { [weak self] watched, flow, kind, socket in
                        guard let self else { return }
                        report(
                            kind, flow.original.source, flow.original.destination,
                            reason(flow, socket, of: watched), of: watched)
                    },
                    turns: { [rules] watched, port in
                        guard case .user(_, let ports) = (try? rules.member(watched.id))?.selector else { return true }
                        return ports.contains(port)
                    }))
            try startReading().add(made.stream)
            host = made
            return made
        }
    }

    /// Why the rules did not get hold of it.
    private func reason(_ flow: ConntrackFlow, _ socket: ObservedSocket?, of watched: WatchedFlows) -> String {
        if case .cgroup(let cgroup) = (try? rules.member(watched.id))?.selector {
            let now = try? CgroupReference.find(cgroup.path)
            if let now, now.id != cgroup.id {
                return "the cgroup \(cgroup.path) was made anew and the rules still name the one before; "
                    + "attach it again, from ExecStartPre= of its unit, or attach a slice that stays"
            }
        }
        let plan = watched.state.withLock { $0.judge.plan }
        let drift = driftOnHost.withLock { known in
            let now = MonotonicTime.now()
            if known.workload != watched.id || now.nanoseconds(since: known.at) > 1_000_000_000 {
                let installed = try? HostRules(rules.table(of: watched.id))
                    .of(plan, hasIPv6: watched.workload.facts.hasIPv6)
                known = (watched.id, now, installed?.drift ?? [])
            }
            return known.drift
        }
        return FlowWatch.reason(flow, drift: drift)
    }
}

extension WatchedFlows {
    /// Whether either end is an address that is known for the host's.
    func knowsEnd(of flow: ConntrackFlow) -> Bool {
        state.withLock {
            $0.judge.isOwn(flow.original.source.address) || $0.judge.isOwn(flow.original.destination.address)
        }
    }
}

extension FlowJudge {
    /// Whether it came in from elsewhere.
    func isInbound(_ flow: ConntrackFlow) -> Bool {
        isOwn(flow.original.destination.address) && !isOwn(flow.original.source.address)
    }
}

extension ConntrackFlow {
    /// With what its socket has carried. Nil where it has none.
    func counting(_ sockets: [ConntrackEntry.Tuple: ObservedSocket]) -> ConntrackFlow? {
        guard transport == UInt8(IPPROTO_TCP) else { return nil }
        let (asClient, asServer) = (sockets[original], sockets[original.reversed])
        guard let socket = asClient ?? asServer else { return nil }
        let there = FlowTraffic(packets: 0, bytes: asClient == nil ? socket.bytesReceived : socket.bytesSent)
        let back = FlowTraffic(packets: 0, bytes: asClient == nil ? socket.bytesSent : socket.bytesReceived)
        return ConntrackFlow(
            id: id, transport: transport, original: original, reply: reply, mark: mark, tcpState: tcpState,
            sent: there, received: back)
    }
}

extension SocketDiagnostics {
    /// The socket of this host that a flow begins or ends at: of one within the host, the server's.
    ///
    /// A connection that is being opened has no owner yet; it will be its listener's.
    /// - Parameter isToHere: whether its destination is an address of the host.
    mutating func end(
        of flow: ConntrackFlow, isToHere: Bool
    ) throws -> (ObservedSocket, isTheServers: Bool)? {
        let (source, destination) = (flow.original.source, flow.original.destination)
        guard flow.transport == UInt8(IPPROTO_TCP) else {
            return try socket(flow.transport, source, destination).map { ($0, false) }
        }
        if isToHere {
            let served = try socket(flow.transport, destination, source)
            if let served, served.cgroup != nil { return (served, true) }
            let any: IPAddress = destination.address.family == .v4 ? .anyV4 : .anyV6
            if let listener = try socket(flow.transport, destination, IPEndpoint(any, 0)),
                listener.info.state == TCPSocketInfo.listen
            {
                return (listener, true)
            }
        }
        guard let client = try socket(flow.transport, source, destination),
            client.info.remote.port == destination.port
        else { return nil }
        return (client, false)
    }
}
