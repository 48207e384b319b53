import CNetfilter
import Glibc
import TrammelCore

/// The connection tracking table of one network namespace. Asking does not switch tracking on.
struct ConntrackSocket: ~Copyable, Sendable {
    private var socket: NetlinkSocket

    /// Opened in the network namespace that the calling thread is in.
    init() throws { socket = try NetlinkSocket(family: NETLINK_NETFILTER) }

    /// The entry that has `tuple` in the given direction; nil where there is none.
    mutating func entry(
        _ tuple: ConntrackEntry.Tuple, _ direction: ConntrackMessages.Direction,
        _ transport: ConntrackEntry.TransportProtocol
    ) throws -> ConntrackEntry? {
        var found: ConntrackEntry?
        do {
            try socket.request(ConntrackMessages.get(tuple, direction, transport)) { reply in
                found = try ConntrackObject.entry(from: reply.header)
            }
        } catch let failure as NetlinkFailure where failure.code == ENOENT {
            return nil
        } catch let failure as NetlinkFailure {
            throw TrammelError.kernel("look up a conntrack entry", errno: failure.code, token: "conntrack")
        }
        return found
    }

    /// All entries of TCP and UDP for which `isWanted`. Costs the length of the table.
    mutating func entries(where isWanted: (ConntrackEntry) -> Bool) throws -> [ConntrackEntry] {
        var found: [ConntrackEntry] = []
        do {
            try socket.dump(ConntrackMessages.dump()) { reply in
                if let entry = try ConntrackObject.entry(from: reply.header), isWanted(entry) { found.append(entry) }
            }
        } catch let failure as NetlinkFailure where failure.code == EINTR {
            // The table moved under the dump; each entry that was listed did exist.
        } catch let failure as NetlinkFailure {
            throw TrammelError.kernel("list the conntrack table", errno: failure.code, token: "conntrack")
        }
        return found
    }

    /// Forgets an entry, so that its flow meets the rules anew; one that is gone already is no error. For UDP only: a
    /// TCP connection would not end but fall silent.
    mutating func delete(_ entry: ConntrackEntry) throws {
        do {
            try socket.request(ConntrackMessages.delete(entry))
        } catch let failure as NetlinkFailure where failure.code == ENOENT {
        } catch let failure as NetlinkFailure {
            throw TrammelError.kernel("delete a conntrack entry", errno: failure.code, token: "conntrack")
        }
    }
}
