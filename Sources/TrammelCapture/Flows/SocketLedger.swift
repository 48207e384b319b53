import TrammelCore

/// The accounts of a workload's TCP sockets, for where nothing is tracked: which connections go past the agent. A value,
/// changed under its owner's lock; pure.
///
/// The sign of capture is the far end in the same namespace: the agent's transparent socket, whose addresses are those
/// of the application's the other way round. A listing is no snapshot, and a connection that is ending loses its far end
/// first; so only an established socket that has none at two looks in a row is taken for a leak.
struct SocketLedger {
    /// What one look brought.
    struct Finding {
        var leaks: [(FlowKind, TCPSocketInfo)] = []
    }

    private struct Known {
        var kind: FlowKind?
        var looks = 0
        var flow: PassedFlow?
        var sent: UInt64 = 0
        var received: UInt64 = 0
    }

    /// Whether passed connections are counted here; where conntrack tells of them they are not.
    let accounts: Bool
    private var known: [UInt64: Known] = [:]
    private(set) var totals: [FlowKind: FlowTotals] = [:]

    init(accounts: Bool) { self.accounts = accounts }

    var passing: [PassedFlow] { known.values.compactMap(\.flow) }

    /// - Parameters:
    ///   - sockets: all of the namespace in every state but TIME_WAIT and the like.
    ///   - agents: the cgroups that are exempt.
    mutating func look(
        at sockets: [ObservedSocket], _ judge: FlowJudge, agents: Set<UInt64>, isBypassed: Bool, now: WallTime,
        workload: WorkloadID, numbers: FlowNumbers
    ) -> Finding {
        var finding = Finding()
        var pairs: Set<ConntrackEntry.Tuple> = []
        var listening: Set<UInt16> = []
        for socket in sockets {
            if socket.info.state == TCPSocketInfo.listen {
                listening.insert(socket.info.local.port)
            } else {
                pairs.insert(NamespaceConnections.tuple(of: socket.info))
            }
        }
        var living: [UInt64: Known] = [:]
        for socket in sockets where socket.info.state != TCPSocketInfo.listen {
            let tuple = NamespaceConnections.tuple(of: socket.info)
            let (local, remote) = (tuple.source, tuple.destination)
            // A local end that is nobody's here is a transparent socket's: the agent's.
            guard judge.isOwn(local.address), !judge.isOwn(remote.address) else { continue }
            if let cgroup = socket.cgroup, agents.contains(cgroup) { continue }
            let mirror = ConntrackEntry.Tuple(source: remote, destination: local)
            if pairs.contains(mirror) { continue }
            let cookie = socket.info.cookie
            var entry = known[cookie] ?? Known()
            defer { living[cookie] = entry }
            let direction: TrafficDirection = listening.contains(local.port) ? .inbound : .outbound
            if entry.kind == nil {
                if let reason = judge.exemption(direction, local: local, remote: remote) {
                    entry.kind = FlowKind(.tcp, direction, reason)
                } else if isBypassed {
                    entry.kind = FlowKind(.tcp, direction, .bypassed)
                } else if socket.info.state == TCPSocketInfo.established, direction == .inbound || accounts {
                    // Outbound where flows are tracked, the events are told more, and earlier.
                    entry.looks += 1
                    if entry.looks >= 2 {
                        let kind = FlowKind(.tcp, direction, .leak)
                        entry.kind = kind
                        finding.leaks.append((kind, socket.info))
                    }
                } else {
                    entry.looks = 0
                }
            }
            if let kind = entry.kind, accounts || kind.reason == .leak {
                account(socket, kind, &entry, now: now, workload: workload, numbers: numbers)
            }
        }
        known = living
        return finding
    }

    private mutating func account(
        _ socket: ObservedSocket, _ kind: FlowKind, _ entry: inout Known, now: WallTime, workload: WorkloadID,
        numbers: FlowNumbers
    ) {
        var total = totals[kind, default: FlowTotals()]
        // Who began it sends; sock_diag counts payload and no packets.
        let isOutbound = kind.direction == .outbound
        let sent = isOutbound ? socket.bytesSent : socket.bytesReceived
        let received = isOutbound ? socket.bytesReceived : socket.bytesSent
        var flow: PassedFlow
        if let known = entry.flow {
            flow = known
        } else {
            total.flows += 1
            let tuple = NamespaceConnections.tuple(of: socket.info)
            flow = PassedFlow(
                number: numbers.next(), workload: workload, kind: kind,
                source: isOutbound ? tuple.source : tuple.destination,
                destination: isOutbound ? tuple.destination : tuple.source, sent: .none, received: .none, since: now,
                handle: .socket(socket.info))
        }
        let sentNow = FlowTraffic(packets: 0, bytes: sent)
        let receivedNow = FlowTraffic(packets: 0, bytes: received)
        total.sent += sentNow.since(flow.sent)
        total.received += receivedNow.since(flow.received)
        flow.sent = sentNow
        flow.received = receivedNow
        entry.flow = flow
        totals[kind] = total
    }
}
