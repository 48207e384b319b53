import CNetfilter
import Glibc
import TrammelCore

/// Requests of rtnetlink (rtnetlink(7)) for rules, routes, links and addresses, as pure messages.
enum RouteMessages {
    /// Marks what Trammel made, as routing daemons mark theirs: `ip rule` and `ip route` print `proto 84`.
    static let origin: UInt8 = 84

    static func family(_ family: IPAddress.Family) -> UInt8 { UInt8(family == .v4 ? AF_INET : AF_INET6) }

    /// `ip rule add [iif INTERFACE] fwmark value/mask lookup table pref preference`, or `del`.
    static func rule(add: Bool, _ rule: RouteSocket.MarkRule) -> NetlinkMessage {
        let (mark, table) = (rule.mark, rule.table)
        var message = NetlinkMessage(
            type: UInt16(add ? RTM_NEWRULE : RTM_DELRULE), flags: UInt16(add ? NLM_F_CREATE | NLM_F_EXCL : 0))
        var header = fib_rule_hdr()
        header.family = family(rule.family)
        header.table = table < 256 ? UInt8(table) : UInt8(RT_TABLE_UNSPEC.rawValue)
        header.action = UInt8(FR_ACT_TO_TBL)
        message.append(fixed: header)
        message.append(FRA_PRIORITY, number: rule.preference)
        if let interface = rule.interface { message.append(FRA_IIFNAME, bytes: Array(interface.utf8) + [0]) }
        message.append(FRA_FWMARK, number: mark.value)
        message.append(FRA_FWMASK, number: mark.mask)
        message.append(FRA_TABLE, number: table)
        message.append(FRA_PROTOCOL, number: origin)
        return message
    }

    /// `ip route add local default dev INTERFACE table TABLE`, or `del`: everything is this host.
    static func localDefault(
        add: Bool, _ family: IPAddress.Family, interface: UInt32, table: UInt32
    ) -> NetlinkMessage {
        var header = rtmsg()
        header.rtm_family = self.family(family)
        header.rtm_type = UInt8(RTN_LOCAL)
        header.rtm_scope = UInt8(RT_SCOPE_HOST.rawValue)
        header.rtm_table = table < 256 ? UInt8(table) : UInt8(RT_TABLE_UNSPEC.rawValue)
        header.rtm_protocol = origin
        var message = NetlinkMessage(
            type: UInt16(add ? RTM_NEWROUTE : RTM_DELROUTE), flags: UInt16(add ? NLM_F_CREATE | NLM_F_EXCL : 0))
        message.append(fixed: header)
        message.append(RTA_TABLE.rawValue, number: table)
        message.append(RTA_OIF.rawValue, number: interface)
        return message
    }

    /// `ip route add BLOCK dev INTERFACE src SOURCE`, or `del`, in the main table.
    static func route(
        add: Bool, to block: CIDR, interface: UInt32, source: IPAddress?
    ) -> NetlinkMessage {
        var header = rtmsg()
        header.rtm_family = family(block.base.family)
        header.rtm_dst_len = UInt8(block.prefixLength)
        header.rtm_type = UInt8(RTN_UNICAST)
        header.rtm_scope = UInt8(block.base.family == .v4 ? RT_SCOPE_LINK.rawValue : RT_SCOPE_UNIVERSE.rawValue)
        header.rtm_table = UInt8(RT_TABLE_MAIN.rawValue)
        header.rtm_protocol = origin
        var message = NetlinkMessage(
            type: UInt16(add ? RTM_NEWROUTE : RTM_DELROUTE), flags: UInt16(add ? NLM_F_CREATE | NLM_F_EXCL : 0))
        message.append(fixed: header)
        message.append(RTA_DST.rawValue, bytes: block.base.networkBytes)
        message.append(RTA_OIF.rawValue, number: interface)
        if let source { message.append(RTA_PREFSRC.rawValue, bytes: source.networkBytes) }
        return message
    }

    /// `ip route get ADDRESS`.
    static func lookup(_ address: IPAddress) -> NetlinkMessage {
        var header = rtmsg()
        header.rtm_family = family(address.family)
        header.rtm_dst_len = UInt8(address.family.bits)
        var message = NetlinkMessage(type: UInt16(RTM_GETROUTE), flags: 0)
        message.append(fixed: header)
        message.append(RTA_DST.rawValue, bytes: address.networkBytes)
        return message
    }

    static func dumpRoutes(_ family: IPAddress.Family) -> NetlinkMessage {
        var header = rtmsg()
        header.rtm_family = self.family(family)
        var message = NetlinkMessage(type: UInt16(RTM_GETROUTE), flags: 0)
        message.append(fixed: header)
        return message
    }

    static func dumpRules(_ family: IPAddress.Family) -> NetlinkMessage {
        var header = fib_rule_hdr()
        header.family = self.family(family)
        var message = NetlinkMessage(type: UInt16(RTM_GETRULE), flags: 0)
        message.append(fixed: header)
        return message
    }

    static func dumpLinks() -> NetlinkMessage {
        var message = NetlinkMessage(type: UInt16(RTM_GETLINK), flags: 0)
        message.append(fixed: ifinfomsg())
        return message
    }

    static func dumpAddresses() -> NetlinkMessage {
        var message = NetlinkMessage(type: UInt16(RTM_GETADDR), flags: 0)
        message.append(fixed: ifaddrmsg())
        return message
    }

    /// Asks for the number by which the socket's network namespace knows the one that `descriptor` is open on, or has
    /// one given to it.
    static func namespaceNumber(of descriptor: CInt, assign: Bool) -> NetlinkMessage {
        var message = NetlinkMessage(type: UInt16(assign ? RTM_NEWNSID : RTM_GETNSID), flags: 0)
        message.append(fixed: rtgenmsg())
        if assign { message.append(NETNSA_NSID, number: Int32(-1)) }
        message.append(NETNSA_FD, number: UInt32(bitPattern: descriptor))
        return message
    }
}
