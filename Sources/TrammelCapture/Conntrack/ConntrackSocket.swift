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

    /// Hands every flow of the table, of all protocols, to `each`. Costs the length of the table.
    mutating func flows(_ each: (ConntrackFlow) -> Void) throws {
        do {
            try socket.dump(ConntrackMessages.dump()) { reply in
                if let flow = try ConntrackObject.flow(from: reply.header) { each(flow) }
            }
        } catch let failure as NetlinkFailure where failure.code == EINTR {
            // As above.
        } catch let failure as NetlinkFailure {
            throw TrammelError.kernel("list the conntrack table", errno: failure.code, token: "conntrack")
        }
    }

    /// How full the table is, and what the kernel had to do without because of it.
    mutating func load() throws -> ConntrackLoad {
        var load = ConntrackLoad()
        do {
            try socket.request(ConntrackMessages.usage()) { reply in
                ConntrackSocket.numbers(reply) { type, value in
                    if type == Int(CTA_STATS_GLOBAL_ENTRIES.rawValue) { load.count = value }
                    if type == Int(CTA_STATS_GLOBAL_MAX_ENTRIES.rawValue) { load.limit = value }
                }
            }
            try socket.dump(ConntrackMessages.statistics()) { reply in
                ConntrackSocket.numbers(reply) { type, value in
                    switch type {
                    case Int(CTA_STATS_INSERT_FAILED.rawValue): load.insertFailed += UInt64(value)
                    case Int(CTA_STATS_DROP.rawValue): load.dropped += UInt64(value)
                    case Int(CTA_STATS_EARLY_DROP.rawValue): load.earlyDropped += UInt64(value)
                    default: break
                    }
                }
            }
        } catch let failure as NetlinkFailure {
            throw TrammelError.kernel("ask how full the conntrack table is", errno: failure.code, token: "conntrack")
        }
        return load
    }

    private static func numbers(_ reply: NetlinkReply, _ each: (Int, Int) -> Void) {
        guard let (_, attributes) = reply.payload.leading(nfgenmsg.self) else { return }
        for attribute in NetlinkAttributes(attributes) {
            if let value = attribute.number(UInt32.self) { each(attribute.type, Int(UInt32(bigEndian: value))) }
        }
    }

    /// Forgets an entry, so that its flow meets the rules anew; one that is gone already is no error. For UDP only: a
    /// TCP connection would not end but fall silent.
    mutating func delete(_ entry: ConntrackEntry) throws { try delete(ConntrackMessages.delete(entry)) }

    /// As the other, of any protocol with ports.
    mutating func delete(_ flow: ConntrackFlow) throws { try delete(ConntrackMessages.delete(flow)) }

    private mutating func delete(_ message: NetlinkMessage) throws {
        do {
            try socket.request(message)
        } catch let failure as NetlinkFailure where failure.code == ENOENT {
        } catch let failure as NetlinkFailure {
            throw TrammelError.kernel("delete a conntrack entry", errno: failure.code, token: "conntrack")
        }
    }
}
