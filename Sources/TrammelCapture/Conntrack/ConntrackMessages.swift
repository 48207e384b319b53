import CNetfilter
import Glibc
import TrammelCore

/// Requests of ctnetlink (linux/netfilter/nfnetlink_conntrack.h), as pure messages.
///
/// Written here because libnetfilter_conntrack always adds an original tuple, if only an empty one, and the kernel
/// then does not look at the reply tuple by which a redirected flow is found.
enum ConntrackMessages {
    enum Direction {
        case original, reply
    }

    static func get(
        _ tuple: ConntrackEntry.Tuple, _ direction: Direction, _ transport: ConntrackEntry.TransportProtocol
    ) -> NetlinkMessage {
        message(IPCTNL_MSG_CT_GET, tuple, direction, transport.rawValue)
    }

    static func delete(_ entry: ConntrackEntry) -> NetlinkMessage {
        message(IPCTNL_MSG_CT_DELETE, entry.original, .original, entry.transport.rawValue)
    }

    static func delete(_ flow: ConntrackFlow) -> NetlinkMessage {
        message(IPCTNL_MSG_CT_DELETE, flow.original, .original, flow.transport)
    }

    /// The whole table, both families.
    static func dump() -> NetlinkMessage { begin(IPCTNL_MSG_CT_GET, family: UInt8(AF_UNSPEC)) }

    /// How full the namespace's table is.
    static func usage() -> NetlinkMessage { begin(IPCTNL_MSG_CT_GET_STATS, family: UInt8(AF_UNSPEC)) }

    /// What went wrong in the namespace since it was made, processor by processor; to be dumped.
    static func statistics() -> NetlinkMessage { begin(IPCTNL_MSG_CT_GET_STATS_CPU, family: UInt8(AF_UNSPEC)) }

    private static func begin(_ type: cntl_msg_types, family: UInt8) -> NetlinkMessage {
        var message = NetlinkMessage(
            type: UInt16(NFNL_SUBSYS_CTNETLINK) << 8 | UInt16(type.rawValue), flags: 0)
        message.append(fixed: nfgenmsg(nfgen_family: family, version: UInt8(NFNETLINK_V0), res_id: 0))
        return message
    }

    private static func message(
        _ type: cntl_msg_types, _ tuple: ConntrackEntry.Tuple, _ direction: Direction, _ transport: UInt8
    ) -> NetlinkMessage {
        let family = tuple.source.address.family
        var message = begin(type, family: RouteMessages.family(family))
        message.append(direction == .original ? CTA_TUPLE_ORIG.rawValue : CTA_TUPLE_REPLY.rawValue) { message in
            message.append(CTA_TUPLE_IP.rawValue) { message in
                let v4 = family == .v4
                message.append(
                    v4 ? CTA_IP_V4_SRC.rawValue : CTA_IP_V6_SRC.rawValue, bytes: tuple.source.address.networkBytes)
                message.append(
                    v4 ? CTA_IP_V4_DST.rawValue : CTA_IP_V6_DST.rawValue,
                    bytes: tuple.destination.address.networkBytes)
            }
            message.append(CTA_TUPLE_PROTO.rawValue) { message in
                message.append(CTA_PROTO_NUM.rawValue, number: transport)
                message.append(CTA_PROTO_SRC_PORT.rawValue, number: tuple.source.port.bigEndian)
                message.append(CTA_PROTO_DST_PORT.rawValue, number: tuple.destination.port.bigEndian)
            }
        }
        return message
    }
}
