import TrammelCore

/// The connections that a network namespace has when capture begins.
///
/// tproxy marks every packet of an application, so a connection that began without the agent would be torn from its
/// peer. Knowing these lets the rules leave them alone; redirect looks at first packets only and needs nothing.
enum EstablishedConnections {
    /// Both ends as packets leave, of every connection off the namespace. Called inside the namespace.
    /// - Parameter isWanted: where not every socket of the namespace is the workload's.
    static func list(
        in facts: NamespaceFacts, where isWanted: (TCPSocketInfo) -> Bool = { _ in true }
    ) throws -> [ConntrackEntry.Tuple] {
        var diagnostics = try SocketDiagnostics()
        let own = Set(facts.interfaces.map(\.address))
        var tuples: Set<ConntrackEntry.Tuple> = []
        for family in facts.families {
            for socket in try diagnostics.tcpSockets(family, states: living) where isWanted(socket) {
                let tuple = tuple(of: socket)
                let remote = tuple.destination.address
                if !remote.isLoopback, !own.contains(remote) { tuples.insert(tuple) }
            }
        }
        return tuples.sorted { ($0.source, $0.destination) < ($1.source, $1.destination) }
    }

    /// The states in which a connection may still send: all but SYN_SENT (2), TIME_WAIT (6), CLOSE (7) and LISTEN (10).
    static let living: [UInt8] = [1, 3, 4, 5, 8, 9, 11, 12]

    static func tuple(of socket: TCPSocketInfo) -> ConntrackEntry.Tuple {
        ConntrackEntry.Tuple(
            source: IPEndpoint(socket.local.address.unmapped, socket.local.port),
            destination: IPEndpoint(socket.remote.address.unmapped, socket.remote.port))
    }
}
