import CNetfilter
import Glibc
import Synchronization
package import TrammelCore

/// Conntrack as the agent uses it: where a redirected UDP datagram was going, who a connection really came from when
/// NAT had to change its port, what lies behind a connection, and how full the table is.
///
/// Each workload has one netlink socket, opened when first asked for. A lookup costs one exchange with the kernel.
package final class WorkloadConntrack: ConntrackLookup {
    /// How much of the table is in use.
    package struct Usage: Hashable, Sendable {
        /// Entries of the workload's network namespace.
        package let count: Int
        /// What the kernel allows for any one namespace.
        package let limit: Int
    }

    private final class Table: Sendable {
        let socket: Mutex<ConntrackSocket>
        init(_ socket: consuming ConntrackSocket) { self.socket = Mutex(socket) }
    }

    private let sockets: NamespaceSockets
    private let tables = Mutex<[WorkloadID: Table]>([:])

    init(sockets: NamespaceSockets) { self.sockets = sockets }

    package func entry(
        in workload: WorkloadID, transport: ConntrackEntry.TransportProtocol, client: ClientAddress,
        local: ListenerAddress
    ) throws -> ConntrackEntry? {
        guard client.endpoint.address.family == local.endpoint.address.family else { return nil }
        let reply = ConntrackEntry.Tuple(source: local.endpoint, destination: client.endpoint)
        return try table(of: workload).socket.withLock { try $0.entry(reply, .reply, transport) }
    }

    /// Where a datagram was going that a redirect rule turned to `local`.
    /// - Throws: when the kernel does not know. The datagram is then dropped, never guessed about.
    package func originalDestination(
        in workload: WorkloadID, ofDatagramFrom client: ClientAddress, to local: ListenerAddress
    ) throws -> OriginalDestination {
        guard let entry = try entry(in: workload, transport: .udp, client: client, local: local) else {
            throw TrammelError(
                .unavailable, code: "original-destination-unknown",
                "the original destination of a datagram from \(client) is unknown: conntrack has no entry for it",
                hint: "a flush of the conntrack table does this; the application's next query is not affected")
        }
        guard entry.original.destination != local.endpoint else {
            throw TrammelError(
                .forbidden, code: "direct-hit", "\(local) is a capture port and was addressed directly",
                hint: "send to the resolver itself")
        }
        return OriginalDestination(entry.original.destination)
    }

    /// Every entry of the workload's namespace for which `isWanted`; for diagnosis, since it reads the whole table.
    package func entries(
        in workload: WorkloadID, where isWanted: (ConntrackEntry) -> Bool = { _ in true }
    ) throws -> [ConntrackEntry] {
        try table(of: workload).socket.withLock { try $0.entries(where: isWanted) }
    }

    /// The TCP entries whose replies are `replies`, by those; what the kernel does not track is left out.
    ///
    /// For people who look. It has a socket of its own, so that the data path's lookups never wait for it.
    package func connections(
        in workload: WorkloadID, withReplies replies: [ConntrackEntry.Tuple]
    ) throws -> [ConntrackEntry.Tuple: ConntrackEntry] {
        let table = try sockets.withNetworkNamespace(of: workload) { Table(try ConntrackSocket()) }
        return try table.socket.withLock { socket in
            var found: [ConntrackEntry.Tuple: ConntrackEntry] = [:]
            guard replies.count <= WorkloadConntrack.dumpInstead else {
                let wanted = Set(replies)
                for entry in try socket.entries(where: { $0.transport == .tcp && wanted.contains($0.reply) }) {
                    found[entry.reply] = entry
                }
                return found
            }
            for reply in replies { found[reply] = try socket.entry(reply, .reply, .tcp) }
            return found
        }
    }

    /// Above so many the whole table is read rather than each entry asked for.
    private static let dumpInstead = 64

    /// Forgets the UDP flows for which `isWanted`: a flow keeps the verdict that its first packet got.
    @discardableResult
    package func forgetDatagramFlows(
        in workload: WorkloadID, where isWanted: (ConntrackEntry) -> Bool
    ) throws -> Int {
        try table(of: workload).socket.withLock { socket in
            let flows = try socket.entries { $0.transport == .udp && isWanted($0) }
            for flow in flows { try socket.delete(flow) }
            return flows.count
        }
    }

    /// Nil where the kernel has no connection tracking.
    package func usage(of workload: WorkloadID) throws -> Usage? {
        try sockets.withNetworkNamespace(of: workload) {
            let files = ["count", "max"].map { try? SystemFile.read("/proc/sys/net/netfilter/nf_conntrack_\($0)") }
            let numbers = files.map { $0.flatMap { Int($0.prefix { $0 != "\n" }) } }
            guard let count = numbers[0], let limit = numbers[1] else { return nil }
            return Usage(count: count, limit: limit)
        }
    }

    func close(_ workload: WorkloadID) {
        _ = tables.withLock { $0.removeValue(forKey: workload) }
    }

    private func table(of workload: WorkloadID) throws -> Table {
        if let table = tables.withLock({ $0[workload] }) { return table }
        let made = try sockets.withNetworkNamespace(of: workload) { Table(try ConntrackSocket()) }
        return tables.withLock { tables in
            if let other = tables[workload] { return other }
            tables[workload] = made
            return made
        }
    }
}
