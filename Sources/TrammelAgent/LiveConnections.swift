import TrammelCapture
import TrammelControlAPI
import TrammelCore
import TrammelProxy

/// The live connections as people are shown them: what the data path knows of each, and what the kernel does.
struct LiveConnections: Sendable {
    let attachments: [WorkloadName: Attachment]
    let conntrack: WorkloadConntrack
    let clients: TranslatedClients

    /// Asks the kernel on the calling thread, which must not be a data loop's.
    func list(_ connections: [ConnectionFacts], at now: WallTime) -> [LiveConnection] {
        let entries = self.entries(behind: connections)
        return connections.map { facts in
            let own = clients.client(seenAs: facts.client.endpoint, in: facts.workloadID).map(ClientAddress.init)
            return LiveConnection(
                facts, client: own ?? facts.client,
                conntrack: reply(of: facts).flatMap { entries[facts.workloadID]?[$0] }, at: now)
        }
    }

    private func entries(
        behind connections: [ConnectionFacts]
    ) -> [WorkloadID: [ConntrackEntry.Tuple: ConntrackEntry]] {
        var replies: [WorkloadID: [ConntrackEntry.Tuple]] = [:]
        for facts in connections {
            if let reply = reply(of: facts) { replies[facts.workloadID, default: []].append(reply) }
        }
        // A workload may have gone meanwhile, and a kernel may have no connection tracking: then there is no entry.
        return replies.reduce(into: [:]) { $0[$1.key] = try? conntrack.connections(in: $1.key, withReplies: $1.value) }
    }

    /// What the agent's answers look like to the kernel: from the listener where NAT turned the connection to it, and
    /// from where the client meant to go where nothing was rewritten.
    private func reply(of facts: ConnectionFacts) -> ConntrackEntry.Tuple? {
        let client = facts.client.endpoint
        switch facts.mode {
        case .tproxy:
            return ConntrackEntry.Tuple(source: facts.destination.endpoint, destination: client)
        case .redirect:
            let listener = attachments[facts.workload.name]?.opened.listeners.first {
                $0.direction == facts.direction && $0.mode == .redirect
                    && $0.address.endpoint.address.family == client.address.family
            }
            return listener.map { ConntrackEntry.Tuple(source: $0.address.endpoint, destination: client) }
        }
    }
}

extension LiveConnection {
    fileprivate init(
        _ facts: ConnectionFacts, client: ClientAddress, conntrack: ConntrackEntry?, at now: WallTime
    ) {
        self.init(
            id: facts.id, workload: "\(facts.workload.name)",
            direction: facts.direction == .outbound ? .outbound : .inbound, client: "\(client)",
            originalDestination: "\(facts.destination)", upstream: facts.upstream.map { "\($0)" },
            protocol: facts.applicationProtocol.rawValue, sni: facts.serverName, decision: facts.decision,
            conntrack: conntrack?.text, bytesSent: facts.bytesToClient, bytesReceived: facts.bytesFromClient,
            ageSeconds: Double(now.nanoseconds - facts.openedAt.nanoseconds) / 1e9)
    }
}
