import CNetfilter
import TrammelCore

/// The TCP connections of a network namespace at one moment, each from its own end: those of processes, and those of
/// the agent, which make the difference between a connection that is carried and one that is not.
struct NamespaceConnections {
    /// Of processes, to somewhere off the namespace; both ends as packets leave.
    private(set) var own: Set<ConntrackEntry.Tuple> = []
    /// Ends of the agent's own sockets, as its packets leave.
    private(set) var agents: Set<ConntrackEntry.Tuple> = []
    /// Outbound connections that tproxy has turned to the agent, both ends as the application's packets leave.
    private(set) var turned: Set<ConntrackEntry.Tuple> = []
    private let listeners: Set<IPEndpoint>

    /// None at all.
    init() { listeners = [] }

    /// Called inside the namespace.
    /// - Parameters:
    ///   - agent: the ids of the agent's cgroups.
    ///   - owns: where not every socket of the namespace is the workload's or the agent's.
    init(
        of plan: CapturePlan, families: [IPAddress.Family], agent: Set<UInt64>,
        owns: (TCPSocketInfo) -> Bool = { _ in true }
    ) throws {
        let listing = try SocketListing(families)
        let ports = [plan.settings.ports.outbound, plan.settings.ports.dns]
        listeners = Set(
            families.flatMap { family in ports.map { IPEndpoint(plan.place.address(family), $0) } })
        let marks = plan.marks
        for socket in listing.sockets {
            let tuple = NamespaceConnections.tuple(of: socket)
            let isForeign = listing.isElsewhere(tuple.source.address)
            if isForeign, [marks.outbound, marks.inside].contains(socket.mark & marks.mask) {
                // One that is not through with its handshake has no cgroup yet.
                agents.insert(tuple)
                turned.insert(tuple.reversed)
            } else if socket.cgroup.map(agent.contains) ?? false
                || (isForeign && socket.mark & marks.mask == marks.upstream)
            {
                agents.insert(tuple)
            } else if listing.isElsewhere(tuple.destination.address), owns(socket) {
                own.insert(tuple)
            }
        }
    }

    /// Whether the agent is at the far end of a process's connection, as far as sockets tell.
    func isCarried(_ tuple: ConntrackEntry.Tuple) -> Bool {
        agents.contains(tuple.reversed)
            // Redirect: the listener's address takes the place of where it was going.
            || listeners.contains { agents.contains(ConntrackEntry.Tuple(source: $0, destination: tuple.source)) }
    }

    /// Connections of processes that were there at `earlier` and go past the agent.
    ///
    /// Two looks, since one is not of one moment: both ends of a connection that is turned have been there before the
    /// second began.
    func direct(since earlier: NamespaceConnections) -> [ConntrackEntry.Tuple] {
        earlier.own.filter { !earlier.isCarried($0) && !isCarried($0) }
            .sorted { ($0.source, $0.destination) < ($1.source, $1.destination) }
    }

    var turnedInOrder: [ConntrackEntry.Tuple] {
        turned.sorted { ($0.source, $0.destination) < ($1.source, $1.destination) }
    }

    /// The states in which a connection may still send: all but TIME_WAIT (6), CLOSE (7) and LISTEN (10).
    static let living: [UInt8] = [1, 2, 3, 4, 5, 8, 9, 11, 12]

    static func tuple(of socket: TCPSocketInfo) -> ConntrackEntry.Tuple {
        ConntrackEntry.Tuple(
            source: IPEndpoint(socket.local.address.unmapped, socket.local.port),
            destination: IPEndpoint(socket.remote.address.unmapped, socket.remote.port))
    }
}

/// The TCP sockets of a network namespace at one moment, but for those in TIME_WAIT and those that only listen.
struct SocketListing {
    let sockets: [TCPSocketInfo]
    private let addresses: Set<IPAddress>

    /// Called inside the namespace. Costs the more the more sockets there are on the whole node, those in TIME_WAIT too,
    /// for the kernel goes over its one table of all of them.
    init(_ families: [IPAddress.Family]) throws {
        var route = try RouteSocket()
        addresses = Set(try route.addresses().map(\.address))
        var diagnostics = try SocketDiagnostics()
        sockets = try families.flatMap { try diagnostics.tcpSockets($0, states: NamespaceConnections.living) }
    }

    /// Whether an address is none of the namespace's.
    func isElsewhere(_ address: IPAddress) -> Bool { !address.isLoopback && !addresses.contains(address) }
}

extension ConntrackEntry.Tuple {
    var reversed: ConntrackEntry.Tuple { ConntrackEntry.Tuple(source: destination, destination: source) }
}

extension NamespaceConnections {
    /// How many TCP sockets the network namespace of the calling thread has, listeners included and those in TIME_WAIT
    /// not; nil where the kernel does not tell. A list of them takes the longer the more there are on the whole node, in
    /// whatever namespace, and is needed for none.
    static var count: Int? {
        var count = 0
        for (file, start) in [("sockstat", "TCP: inuse "), ("sockstat6", "TCP6: inuse ")] {
            guard let text = try? SystemFile.read("/proc/thread-self/net/\(file)") else { continue }
            guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix(start) }),
                let number = Int(line.dropFirst(start.count).prefix { $0.isNumber })
            else { return nil }
            count += number
        }
        return count
    }
}
