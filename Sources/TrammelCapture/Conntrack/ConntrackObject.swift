import CNetfilter
import Glibc
import TrammelCore

/// libnetfilter_conntrack's object for one entry, which reads what the kernel tells; freed with the value.
struct ConntrackObject: ~Copyable {
    let handle: OpaquePointer

    init() throws { handle = try allocated(nfct_new()) }

    deinit { nfct_destroy(handle) }

    private enum Direction {
        case original, reply
    }

    /// Reads a message of the kernel's; nil for a protocol other than TCP and UDP, or an entry without addresses.
    static func entry(from header: UnsafePointer<nlmsghdr>) throws -> ConntrackEntry? {
        let object = try ConntrackObject()
        guard nfct_nlmsg_parse(header, object.handle) == 0 else { return nil }
        return object.entry
    }

    /// As `entry`, of any protocol, with what has passed.
    static func flow(from header: UnsafePointer<nlmsghdr>) throws -> ConntrackFlow? {
        let object = try ConntrackObject()
        guard nfct_nlmsg_parse(header, object.handle) == 0 else { return nil }
        return object.flow
    }

    private var flow: ConntrackFlow? {
        guard let original = tuple(.original), let reply = tuple(.reply) else { return nil }
        let hasState = nfct_attr_is_set(handle, ATTR_TCP_STATE) > 0
        return ConntrackFlow(
            id: nfct_get_attr_u32(handle, ATTR_ID), transport: nfct_get_attr_u8(handle, ATTR_ORIG_L4PROTO),
            original: original, reply: reply, mark: nfct_get_attr_u32(handle, ATTR_MARK),
            tcpState: hasState ? nfct_get_attr_u8(handle, ATTR_TCP_STATE) : nil,
            sent: traffic(ATTR_ORIG_COUNTER_PACKETS, ATTR_ORIG_COUNTER_BYTES),
            received: traffic(ATTR_REPL_COUNTER_PACKETS, ATTR_REPL_COUNTER_BYTES))
    }

    private func traffic(_ packets: nf_conntrack_attr, _ bytes: nf_conntrack_attr) -> FlowTraffic {
        guard nfct_attr_is_set(handle, packets) > 0 else { return .none }
        return FlowTraffic(packets: nfct_get_attr_u64(handle, packets), bytes: nfct_get_attr_u64(handle, bytes))
    }

    private var entry: ConntrackEntry? {
        guard
            let transport = ConntrackEntry.TransportProtocol(rawValue: nfct_get_attr_u8(handle, ATTR_ORIG_L4PROTO)),
            let original = tuple(.original), let reply = tuple(.reply)
        else { return nil }
        var state: String?
        if transport == .tcp, nfct_attr_is_set(handle, ATTR_TCP_STATE) > 0 {
            let number = Int(nfct_get_attr_u8(handle, ATTR_TCP_STATE))
            state = ConntrackObject.states.indices.contains(number) ? ConntrackObject.states[number] : "\(number)"
        }
        return ConntrackEntry(
            transport: transport, original: original, reply: reply, mark: nfct_get_attr_u32(handle, ATTR_MARK),
            state: state, timeout: nfct_get_attr_u32(handle, ATTR_TIMEOUT))
    }

    /// `enum tcp_conntrack` of linux/netfilter/nf_conntrack_tcp.h.
    private static let states = [
        "NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE",
        "SYN_SENT2",
    ]

    private func tuple(_ direction: Direction) -> ConntrackEntry.Tuple? {
        let isOriginal = direction == .original
        let v4 = Int32(nfct_get_attr_u8(handle, isOriginal ? ATTR_ORIG_L3PROTO : ATTR_REPL_L3PROTO)) == AF_INET
        let source: nf_conntrack_attr =
            v4
            ? (isOriginal ? ATTR_ORIG_IPV4_SRC : ATTR_REPL_IPV4_SRC)
            : (isOriginal ? ATTR_ORIG_IPV6_SRC : ATTR_REPL_IPV6_SRC)
        let destination: nf_conntrack_attr =
            v4
            ? (isOriginal ? ATTR_ORIG_IPV4_DST : ATTR_REPL_IPV4_DST)
            : (isOriginal ? ATTR_ORIG_IPV6_DST : ATTR_REPL_IPV6_DST)
        guard let from = address(source, v4 ? 4 : 16), let to = address(destination, v4 ? 4 : 16) else { return nil }
        let sourcePort = nfct_get_attr_u16(handle, isOriginal ? ATTR_ORIG_PORT_SRC : ATTR_REPL_PORT_SRC)
        let destinationPort = nfct_get_attr_u16(handle, isOriginal ? ATTR_ORIG_PORT_DST : ATTR_REPL_PORT_DST)
        return ConntrackEntry.Tuple(
            source: IPEndpoint(from, UInt16(bigEndian: sourcePort)),
            destination: IPEndpoint(to, UInt16(bigEndian: destinationPort)))
    }

    private func address(_ attribute: nf_conntrack_attr, _ length: Int) -> IPAddress? {
        guard nfct_attr_is_set(handle, attribute) > 0, let bytes = nfct_get_attr(handle, attribute) else { return nil }
        return IPAddress(networkBytes: UnsafeRawBufferPointer(start: bytes, count: length))
    }
}
