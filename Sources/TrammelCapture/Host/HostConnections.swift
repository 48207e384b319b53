import TrammelCore

/// Connections of the host's processes to other machines and namespaces at one moment, each from its own end.
struct HostConnections {
    private var byCgroup: [UInt64: [TCPSocketInfo]] = [:]
    private var byUser: [UInt32: [TCPSocketInfo]] = [:]

    /// None at all.
    init() {}

    /// Called in the host's network namespace.
    static func list() throws -> HostConnections {
        var all = HostConnections()
        let listing = try SocketListing(ListenerSockets.hasIPv6() ? [.v4, .v6] : [.v4])
        for socket in listing.sockets where listing.isElsewhere(socket.remote.address.unmapped) {
            if let cgroup = socket.cgroup { all.byCgroup[cgroup, default: []].append(socket) }
            all.byUser[socket.user, default: []].append(socket)
        }
        return all
    }

    var isEmpty: Bool { byUser.isEmpty }

    /// A member's, in order.
    func tuples(of ownership: HostOwnership) -> [ConntrackEntry.Tuple] {
        let candidates =
            if let user = ownership.user {
                byUser[user] ?? []
            } else {
                ownership.taken.flatMap { byCgroup[$0] ?? [] }
            }
        return candidates.filter(ownership.owns).map(NamespaceConnections.tuple(of:)).sorted {
            ($0.source, $0.destination) < ($1.source, $1.destination)
        }
    }
}
