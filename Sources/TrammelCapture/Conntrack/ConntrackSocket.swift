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
        _ tuple: ConntrackEntry.Tuple, _ direction: ConntrackObject.Direction,
        _ transport: ConntrackEntry.TransportProtocol
    ) throws -> ConntrackEntry? {
        let object = try ConntrackObject()
        object.set(tuple, direction, transport)
        var found: ConntrackEntry?
        do {
            let family = RouteMessages.family(tuple.source.address.family)
            try socket.request(ConntrackSocket.message(IPCTNL_MSG_CT_GET, family: family, object)) { reply in
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
        var message = NetlinkMessage(type: ConntrackSocket.type(IPCTNL_MSG_CT_GET), flags: 0)
        message.append(fixed: nfgenmsg(nfgen_family: UInt8(AF_UNSPEC), version: UInt8(NFNETLINK_V0), res_id: 0))
        var found: [ConntrackEntry] = []
        do {
            try socket.dump(message) { reply in
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
        let object = try ConntrackObject()
        object.set(entry.original, .original, entry.transport)
        do {
            let family = RouteMessages.family(entry.original.source.address.family)
            try socket.request(ConntrackSocket.message(IPCTNL_MSG_CT_DELETE, family: family, object))
        } catch let failure as NetlinkFailure where failure.code == ENOENT {
        } catch let failure as NetlinkFailure {
            throw TrammelError.kernel("delete a conntrack entry", errno: failure.code, token: "conntrack")
        }
    }

    private static func type(_ message: cntl_msg_types) -> UInt16 {
        UInt16(NFNL_SUBSYS_CTNETLINK) << 8 | UInt16(message.rawValue)
    }

    private static func message(
        _ type: cntl_msg_types, family: UInt8, _ object: borrowing ConntrackObject
    ) throws -> NetlinkMessage {
        let handle = object.handle
        return try withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 8) { scratch in
            guard let header = mnl_nlmsg_put_header(scratch.baseAddress),
                let fixed = mnl_nlmsg_put_extra_header(header, MemoryLayout<nfgenmsg>.size)
            else { throw NetlinkFailure(code: ENOMEM) }
            header.pointee.nlmsg_type = ConntrackSocket.type(type)
            fixed.storeBytes(
                of: nfgenmsg(nfgen_family: family, version: UInt8(NFNETLINK_V0), res_id: 0), as: nfgenmsg.self)
            guard nfct_nlmsg_build(header, handle) == 0 else { throw NetlinkFailure(code: EINVAL) }
            return NetlinkMessage(copying: header)
        }
    }
}
