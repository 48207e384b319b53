import CNetfilter
import Glibc
import TrammelCore

/// rtnetlink in one network namespace: what the routing holds of Trammel's, and the namespace's interfaces.
struct RouteSocket: ~Copyable {
    struct Link: Hashable, Sendable {
        let index: UInt32
        let name: String
        let isUp: Bool
        let isLoopback: Bool
    }

    struct Address: Hashable, Sendable {
        let interface: UInt32
        let address: IPAddress
        let prefixLength: Int
        /// The scope is the whole network: not loopback, not link-local.
        let isGlobal: Bool
    }

    /// A routing rule by mark, as Trammel makes them.
    struct MarkRule: Hashable, Sendable {
        let family: IPAddress.Family
        let mark: NftMatch.Mark
        let table: UInt32
        let preference: UInt32
        /// Only packets that come in by this interface, which need not exist; nil for all.
        var interface: String?
    }

    /// A route that bears Trammel's origin.
    struct Route: Hashable, Sendable {
        let family: IPAddress.Family
        let block: CIDR?
        let isLocal: Bool
        let interface: UInt32
        let table: UInt32
        /// The address that packets go out with; nil where the route does not say.
        var source: IPAddress?
    }

    private var socket: NetlinkSocket

    /// Opened in the network namespace that the calling thread is in.
    init() throws { socket = try NetlinkSocket(family: NETLINK_ROUTE) }

    mutating func links() throws -> [Link] {
        try list(RouteMessages.dumpLinks()) { bytes in
            guard let (header, attributes) = bytes.leading(ifinfomsg.self) else { return nil }
            var name = ""
            for attribute in NetlinkAttributes(attributes) where attribute.type == Int(IFLA_IFNAME) {
                name = attribute.text
            }
            return Link(
                index: UInt32(bitPattern: header.ifi_index), name: name,
                isUp: header.ifi_flags & UInt32(IFF_UP.rawValue) != 0,
                isLoopback: header.ifi_flags & UInt32(IFF_LOOPBACK.rawValue) != 0)
        }
    }

    mutating func addresses() throws -> [Address] {
        try list(RouteMessages.dumpAddresses()) { bytes in
            guard let (header, attributes) = bytes.leading(ifaddrmsg.self) else { return nil }
            var local: IPAddress?
            var address: IPAddress?
            for attribute in NetlinkAttributes(attributes) {
                if attribute.type == Int(IFA_LOCAL) { local = IPAddress(networkBytes: attribute.bytes) }
                if attribute.type == Int(IFA_ADDRESS) { address = IPAddress(networkBytes: attribute.bytes) }
            }
            // On a point-to-point link IFA_ADDRESS is the peer's; IFA_LOCAL, where given, is ours.
            guard let own = local ?? address else { return nil }
            return Address(
                interface: header.ifa_index, address: own, prefixLength: Int(header.ifa_prefixlen),
                isGlobal: header.ifa_scope == UInt8(RT_SCOPE_UNIVERSE.rawValue))
        }
    }

    /// The rules that bear Trammel's origin, of both families.
    mutating func markRules() throws -> [MarkRule] {
        try [IPAddress.Family.v4, .v6].flatMap { family in
            try list(RouteMessages.dumpRules(family)) { bytes in
                guard let (header, attributes) = bytes.leading(fib_rule_hdr.self) else { return nil }
                var origin: UInt8?
                var value: UInt32 = 0
                var mask: UInt32 = .max
                var table = UInt32(header.table)
                var preference: UInt32 = 0
                var interface: String?
                for attribute in NetlinkAttributes(attributes) {
                    switch attribute.type {
                    case FRA_PROTOCOL: origin = attribute.number(UInt8.self)
                    case FRA_FWMARK: value = attribute.number(UInt32.self) ?? value
                    case FRA_FWMASK: mask = attribute.number(UInt32.self) ?? mask
                    case FRA_TABLE: table = attribute.number(UInt32.self) ?? table
                    case FRA_IIFNAME: interface = attribute.text
                    case FRA_PRIORITY: preference = attribute.number(UInt32.self) ?? preference
                    default: break
                    }
                }
                guard origin == RouteMessages.origin else { return nil }
                return MarkRule(
                    family: family, mark: NftMatch.Mark(value: value, mask: mask), table: table,
                    preference: preference, interface: interface)
            }
        }
    }

    /// The routes that bear Trammel's origin, of both families and every table.
    mutating func ownRoutes() throws -> [Route] {
        try [IPAddress.Family.v4, .v6].flatMap { family in
            try list(RouteMessages.dumpRoutes(family)) { bytes in
                guard let (header, attributes) = bytes.leading(rtmsg.self),
                    header.rtm_protocol == RouteMessages.origin, header.rtm_family == RouteMessages.family(family)
                else { return nil }
                var block: CIDR?
                var table = UInt32(header.rtm_table)
                var interface: UInt32 = 0
                var source: IPAddress?
                for attribute in NetlinkAttributes(attributes) {
                    switch UInt32(attribute.type) {
                    case RTA_DST.rawValue:
                        block = IPAddress(networkBytes: attribute.bytes).flatMap {
                            CIDR($0, prefixLength: Int(header.rtm_dst_len))
                        }
                    case RTA_TABLE.rawValue: table = attribute.number(UInt32.self) ?? table
                    case RTA_OIF.rawValue: interface = attribute.number(UInt32.self) ?? interface
                    case RTA_PREFSRC.rawValue: source = IPAddress(networkBytes: attribute.bytes)
                    default: break
                    }
                }
                return Route(
                    family: family, block: block, isLocal: header.rtm_type == UInt8(RTN_LOCAL), interface: interface,
                    table: table, source: source)
            }
        }
    }

    /// The number by which this socket's network namespace knows the one that `descriptor` is open on; it is given one
    /// where it has none. It goes with that namespace, and may be another's after that.
    mutating func namespaceNumber(of descriptor: CInt) throws -> Int32 {
        do {
            try socket.request(RouteMessages.namespaceNumber(of: descriptor, assign: true))
        } catch let failure as NetlinkFailure where failure.code == EEXIST {}
        var number: Int32 = -1
        try socket.request(RouteMessages.namespaceNumber(of: descriptor, assign: false)) { reply in
            guard let (_, attributes) = reply.payload.leading(rtgenmsg.self) else { return }
            for attribute in NetlinkAttributes(attributes) where attribute.type == Int(NETNSA_NSID) {
                number = attribute.number(Int32.self) ?? number
            }
        }
        guard number >= 0 else { throw NetlinkFailure(code: ENOENT) }
        return number
    }

    /// Whether a packet to `address` would find a way out of the namespace.
    mutating func hasRoute(to address: IPAddress) throws -> Bool {
        do {
            var found = false
            try socket.request(RouteMessages.lookup(address)) { reply in
                let bytes = reply.payload
                if let (header, _) = bytes.leading(rtmsg.self) { found = header.rtm_type == UInt8(RTN_UNICAST) }
            }
            return found
        } catch let failure as NetlinkFailure
            where [ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL].contains(failure.code)
        {
            return false
        }
    }

    /// Makes a change; one that is there already is no error.
    mutating func add(_ message: NetlinkMessage) throws {
        do {
            try socket.request(message)
        } catch let failure as NetlinkFailure where failure.code == EEXIST {}
    }

    /// Takes something away; what is gone already is no error.
    mutating func remove(_ message: NetlinkMessage) throws {
        do {
            try socket.request(message)
        } catch let failure as NetlinkFailure where [ENOENT, ESRCH, ENODEV, EAFNOSUPPORT].contains(failure.code) {}
    }

    /// One dump, begun again a few times where the table changed under it.
    private mutating func list<Item>(
        _ message: NetlinkMessage, _ item: (UnsafeRawBufferPointer) -> Item?
    ) throws -> [Item] {
        for _ in 0..<5 {
            var items: [Item] = []
            do {
                try socket.dump(message) { reply in
                    let bytes = reply.payload
                    if let found = item(bytes) { items.append(found) }
                }
                return items
            } catch let failure as NetlinkFailure where failure.code == EINTR {
                continue
            }
        }
        throw TrammelError.kernel("list the namespace's routing", errno: EINTR, token: "rtnetlink")
    }
}
