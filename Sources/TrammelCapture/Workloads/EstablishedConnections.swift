import TrammelCore

/// The connections that a network namespace has when capture begins.
///
/// tproxy marks every packet of an application, so a connection that began without the agent would be torn from its
/// peer. Knowing these lets the rules leave them alone; redirect looks at first packets only and needs nothing.
enum EstablishedConnections {
    /// Both ends as packets leave, of every connection off the namespace. Called inside the namespace.
    static func list(in facts: NamespaceFacts) throws -> [ConntrackEntry.Tuple] {
        var diagnostics = try SocketDiagnostics()
        // Everything that may still send: all states but SYN_SENT (2), CLOSE (7) and LISTEN (10).
        let states: [UInt8] = [1, 3, 4, 5, 6, 8, 9, 11, 12]
        let families: [IPAddress.Family] = facts.hasIPv6 ? [.v4, .v6] : [.v4]
        let own = Set(facts.interfaces.map(\.address))
        var tuples: Set<ConntrackEntry.Tuple> = []
        for family in families {
            for socket in try diagnostics.tcpSockets(family, states: states) {
                let local = IPEndpoint(socket.local.address.unmapped, socket.local.port)
                let remote = IPEndpoint(socket.remote.address.unmapped, socket.remote.port)
                if remote.address.isLoopback || own.contains(remote.address) { continue }
                tuples.insert(ConntrackEntry.Tuple(source: local, destination: remote))
            }
        }
        return tuples.sorted { ($0.source, $0.destination) < ($1.source, $1.destination) }
    }
}
