import CNetfilter
import Glibc
import TrammelCore

/// The routing rules and routes that the marks need, in the network namespace that the calling thread is in: packets
/// that bear one of them are local, whatever their destination.
struct PolicyRouting {
    let hasIPv6: Bool
    /// Blocks that need a route, for a connect to them to get as far as the rules.
    let covered: [CIDR]

    private var families: [UInt8] { hasIPv6 ? [UInt8(AF_INET), UInt8(AF_INET6)] : [UInt8(AF_INET)] }

    /// Adds what is missing. Doing it twice changes nothing.
    func install() throws {
        let socket = try NetlinkSocket(NETLINK_ROUTE)
        for family in families {
            for mark in [Marks.outbound, Marks.onward] {
                try run(
                    socket, "add a routing rule", RouteMessage.rule(RTM_NEWRULE, family, mark: mark), tolerates: EEXIST)
            }
            try run(socket, "add a route", RouteMessage.localDefault(RTM_NEWROUTE, family), tolerates: EEXIST)
        }
        for block in covered {
            try run(socket, "add a route for \(block)", RouteMessage.loopback(RTM_NEWROUTE, block), tolerates: EEXIST)
        }
    }

    /// Removes what `install` adds; what is not there is no error.
    static func remove(hasIPv6: Bool, covered: [CIDR]) throws {
        let routing = PolicyRouting(hasIPv6: hasIPv6, covered: covered)
        let socket = try NetlinkSocket(NETLINK_ROUTE)
        for family in routing.families {
            for mark in [Marks.outbound, Marks.onward] {
                // The same rule may stand more than once.
                while try routing.run(
                    socket, "remove a routing rule", RouteMessage.rule(RTM_DELRULE, family, mark: mark),
                    tolerates: ENOENT)
                {}
            }
            try routing.run(
                socket, "remove a route", RouteMessage.localDefault(RTM_DELROUTE, family), tolerates: ESRCH)
        }
        for block in covered {
            try routing.run(
                socket, "remove the route for \(block)", RouteMessage.loopback(RTM_DELROUTE, block), tolerates: ESRCH)
        }
    }

    /// - Returns: false when the kernel answered with the error that is tolerated.
    @discardableResult
    private func run(
        _ socket: borrowing NetlinkSocket, _ doing: String, _ message: [UInt8], tolerates: Int32
    ) throws -> Bool {
        let refusals = try socket.transact(message, acknowledged: [RouteMessage.sequence])
        guard let number = refusals[RouteMessage.sequence] else { return true }
        if number == tolerates { return false }
        // A namespace with IPv6 switched off has no table to take from.
        if number == EAFNOSUPPORT || number == ENOENT { return false }
        throw KernelError.make(doing, number)
    }
}

/// rtnetlink messages as bytes: a header, a fixed part, attributes (rtnetlink(7)).
enum RouteMessage {
    static let sequence: UInt32 = 1

    /// `ip rule … fwmark MARK/0xfff lookup 133 pref 100`
    static func rule(_ type: Int, _ family: UInt8, mark: UInt32) -> [UInt8] {
        var fixed = fib_rule_hdr()
        fixed.family = family
        fixed.action = UInt8(FR_ACT_TO_TBL)
        var message = Message(type, flags: type == RTM_NEWRULE ? NLM_F_CREATE | NLM_F_EXCL : 0, fixed)
        message.attribute(FRA_PRIORITY, Marks.rulePriority)
        message.attribute(FRA_FWMARK, mark)
        message.attribute(FRA_FWMASK, Marks.mask)
        message.attribute(FRA_TABLE, Marks.routingTable)
        return message.bytes
    }

    /// `ip route … local default dev lo table 133`
    static func localDefault(_ type: Int, _ family: UInt8) -> [UInt8] {
        var fixed = rtmsg()
        fixed.rtm_family = family
        fixed.rtm_table = UInt8(Marks.routingTable)
        fixed.rtm_protocol = UInt8(RTPROT_STATIC)
        fixed.rtm_scope = UInt8(RT_SCOPE_HOST.rawValue)
        fixed.rtm_type = UInt8(RTN_LOCAL)
        var message = Message(type, flags: type == RTM_NEWROUTE ? NLM_F_CREATE | NLM_F_EXCL : 0, fixed)
        message.attribute(Int(RTA_OIF.rawValue), loopbackIndex)
        return message.bytes
    }

    /// `ip route … BLOCK dev lo`: enough for a connect to leave the socket; the rules take it from there.
    static func loopback(_ type: Int, _ block: CIDR) -> [UInt8] {
        var fixed = rtmsg()
        fixed.rtm_family = UInt8(block.base.family == .v4 ? AF_INET : AF_INET6)
        fixed.rtm_dst_len = UInt8(block.prefixLength)
        fixed.rtm_table = UInt8(RT_TABLE_MAIN.rawValue)
        fixed.rtm_protocol = UInt8(RTPROT_STATIC)
        fixed.rtm_scope = UInt8(RT_SCOPE_LINK.rawValue)
        fixed.rtm_type = UInt8(RTN_UNICAST)
        var message = Message(type, flags: type == RTM_NEWROUTE ? NLM_F_CREATE | NLM_F_EXCL : 0, fixed)
        message.attribute(Int(RTA_DST.rawValue), bytes: block.base.networkBytes)
        message.attribute(Int(RTA_OIF.rawValue), loopbackIndex)
        return message.bytes
    }

    /// Asks which route leads to `address`.
    static func lookup(_ address: IPAddress) -> [UInt8] {
        var fixed = rtmsg()
        fixed.rtm_family = UInt8(address.family == .v4 ? AF_INET : AF_INET6)
        fixed.rtm_dst_len = UInt8(address.family.bits)
        var message = Message(RTM_GETROUTE, flags: 0, fixed)
        message.attribute(Int(RTA_DST.rawValue), bytes: address.networkBytes)
        return message.bytes
    }

    /// The loopback interface is the first of every namespace.
    static let loopbackIndex: UInt32 = 1

    struct Message {
        private(set) var bytes: [UInt8]

        init<Fixed: BitwiseCopyable>(_ type: Int, flags: Int32, _ fixed: Fixed) {
            var header = nlmsghdr()
            header.nlmsg_type = UInt16(type)
            header.nlmsg_flags = UInt16(NLM_F_REQUEST | NLM_F_ACK | flags)
            header.nlmsg_seq = RouteMessage.sequence
            bytes = withUnsafeBytes(of: header, Array.init) + withUnsafeBytes(of: fixed, Array.init)
            finish()
        }

        mutating func attribute(_ type: Int, _ value: UInt32) {
            attribute(type, bytes: withUnsafeBytes(of: value, Array.init))
        }

        mutating func attribute(_ type: Int, bytes value: [UInt8]) {
            let length = UInt16(4 + value.count)
            bytes += withUnsafeBytes(of: length, Array.init) + withUnsafeBytes(of: UInt16(type), Array.init) + value
            finish()
        }

        /// Pads to four bytes and writes the length.
        private mutating func finish() {
            bytes += [UInt8](repeating: 0, count: (4 - bytes.count % 4) % 4)
            withUnsafeBytes(of: UInt32(bytes.count)) { bytes.replaceSubrange(0..<4, with: $0) }
        }
    }
}
