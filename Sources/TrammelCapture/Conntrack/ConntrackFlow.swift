import CNetfilter
import Glibc
package import TrammelCore

/// What has passed one way: packets, and their bytes with all headers from IP on, as conntrack counts.
package struct FlowTraffic: Hashable, Sendable {
    package var packets: UInt64
    package var bytes: UInt64

    package static let none = FlowTraffic(packets: 0, bytes: 0)

    package init(packets: UInt64, bytes: UInt64) {
        self.packets = packets
        self.bytes = bytes
    }

    static func += (total: inout FlowTraffic, more: FlowTraffic) {
        total.packets &+= more.packets
        total.bytes &+= more.bytes
    }

    /// What came since `earlier`; none where a counter has begun anew.
    func since(_ earlier: FlowTraffic) -> FlowTraffic {
        guard packets >= earlier.packets, bytes >= earlier.bytes else { return .none }
        return FlowTraffic(packets: packets - earlier.packets, bytes: bytes - earlier.bytes)
    }
}

/// A tracked flow of any protocol as the accounting sees it: both directions, and what has passed so far where the
/// namespace counts (`nf_conntrack_acct`).
package struct ConntrackFlow: Hashable, Sendable {
    /// The kernel's number for the entry, which another one may get once this is gone.
    package let id: UInt32
    /// The number of the IP protocol: 6 TCP, 17 UDP.
    package let transport: UInt8
    /// Ports are 0 where the protocol has none.
    package let original: ConntrackEntry.Tuple
    package let reply: ConntrackEntry.Tuple
    package let mark: UInt32
    /// `enum tcp_conntrack` of linux/netfilter/nf_conntrack_tcp.h; nil for other protocols.
    package let tcpState: UInt8?
    package let sent: FlowTraffic
    package let received: FlowTraffic

    package init(
        id: UInt32, transport: UInt8, original: ConntrackEntry.Tuple, reply: ConntrackEntry.Tuple, mark: UInt32 = 0,
        tcpState: UInt8? = nil, sent: FlowTraffic = .none, received: FlowTraffic = .none
    ) {
        self.id = id
        self.transport = transport
        self.original = original
        self.reply = reply
        self.mark = mark
        self.tcpState = tcpState
        self.sent = sent
        self.received = received
    }

    /// Whether the connection was seen from its first packet on: its entry was made by a SYN, and not in the middle.
    var beganWithSYN: Bool { tcpState.map { [1, 2, 9].contains($0) } ?? true }

    /// Whether the connection has ended at both ends (TIME_WAIT, CLOSE), and the kernel keeps its entry for a while.
    var isOver: Bool { tcpState.map { [7, 8].contains($0) } ?? false }
}

/// What the kernel tells of the conntrack table of one namespace.
enum ConntrackEvent: Hashable, Sendable {
    case new(ConntrackFlow)
    /// The flow is told once more, with all that has passed.
    case destroyed(ConntrackFlow)

    /// Nil for a message that is no event, or about an entry without addresses.
    init?(_ header: UnsafePointer<nlmsghdr>) throws {
        let type = header.pointee.nlmsg_type
        guard type >> 8 == UInt16(NFNL_SUBSYS_CTNETLINK), let flow = try ConntrackObject.flow(from: header) else {
            return nil
        }
        switch UInt32(type & 0xFF) {
        case IPCTNL_MSG_CT_NEW.rawValue: self = .new(flow)
        case IPCTNL_MSG_CT_DELETE.rawValue: self = .destroyed(flow)
        default: return nil
        }
    }
}
