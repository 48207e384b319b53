import TrammelCore

/// An nftables table of family `inet` as a pure value: what the kernel is asked to hold, and what golden tests read.
/// It says nothing that Trammel's rules do not need.
struct NftTable: Hashable, Sendable {
    let name: String
    /// Kept by the kernel with the table and shown by `nft list`; at most 127 bytes.
    var comment: String?
    /// Goes with the netlink socket that made it, and nobody else may change or remove it (`flags owner`): what a
    /// workload that fails open is captured by. Such a table is made through a `TableOwner`.
    var isOwned = false
    var sets: [NftSet] = []
    var maps: [NftVerdictMap] = []
    var chains: [NftChain] = []

    /// The same by another name.
    func named(_ name: String) -> NftTable {
        var other = NftTable(name: name, comment: comment)
        (other.isOwned, other.sets, other.maps, other.chains) = (isOwned, sets, maps, chains)
        return other
    }
}

/// A named set. Members are looked up by hash or tree, so a packet's cost does not grow with their number.
struct NftSet: Hashable, Sendable {
    enum Members: Hashable, Sendable {
        /// Blocks of addresses of one family. They may overlap; they are merged when encoded.
        case blocks(IPAddress.Family, [CIDR])
        case ports([UInt16])
        /// Blocks of addresses of one family, each with a port. They may overlap; they are merged when encoded.
        case destinations(IPAddress.Family, [DatagramDestination])
        /// Flows of UDP as their packets leave, which the rules put in by themselves, each for so many seconds after it
        /// was last put in. Empty at first; what is in it is the kernel's affair.
        case remembered(IPAddress.Family, seconds: UInt32, most: UInt32)
        /// Names of network interfaces, which need not exist.
        case interfaces([String])
        /// TCP connections as their packets leave: from, to.
        case connections(IPAddress.Family, [ConntrackEntry.Tuple])
    }

    let name: String
    let members: Members
}

extension NftTable {
    /// The same without a rule that any packet comes to.
    var disarmed: NftTable {
        var table = self
        for index in table.chains.indices where table.chains[index].hook != nil { table.chains[index].rules = [] }
        return table
    }

    /// Whether the rules themselves fill the set of that name.
    func remembers(in name: String) -> Bool {
        guard case .remembered = sets.first(where: { $0.name == name })?.members else { return false }
        return true
    }
}

/// A chain; a base chain when it has a hook.
struct NftChain: Hashable, Sendable {
    enum Kind: String, Hashable, Sendable {
        case filter, nat, route
    }

    /// The hooks that capture uses, by the kernel's `enum nf_inet_hooks`.
    enum Point: UInt32, Hashable, Sendable {
        case prerouting = 0
        case input = 1
        case output = 3
    }

    struct Hook: Hashable, Sendable {
        let kind: Kind
        let point: Point
        let priority: Int32
    }

    let name: String
    var hook: Hook?
    var rules: [NftRule] = []
}

/// One rule: every match must hold, then the statements run in order.
struct NftRule: Hashable, Sendable {
    var matches: [NftMatch]
    var statements: [NftStatement]
    /// Why the rule is there, for whoever reads `nft list ruleset`.
    var comment: String?

    init(_ matches: NftMatch..., do statements: NftStatement..., comment: String? = nil) {
        self.matches = matches
        self.statements = statements
        self.comment = comment
    }

    init(matching matches: [NftMatch], do statements: [NftStatement], comment: String? = nil) {
        self.matches = matches
        self.statements = statements
        self.comment = comment
    }
}

enum NftMatch: Hashable, Sendable {
    enum Side: Hashable, Sendable {
        case source, destination
    }

    enum Way: Hashable, Sendable {
        case incoming, outgoing
    }

    enum Transport: UInt8, Hashable, Sendable {
        case tcp = 6
        case udp = 17
    }

    /// A value within a field of the packet mark; the other bits belong to others.
    struct Mark: Hashable, Sendable {
        let value: UInt32
        let mask: UInt32
    }

    case loopbackInterface(Bool)
    /// The interface that the packet came in by, or goes out by, is in the named set, or with `false` is not.
    case interfaceInSet(Way, String, Bool)
    case family(IPAddress.Family)
    case transport(Transport)
    case port(Side, Transport, UInt16)
    /// The port is one of these few, written into the rule.
    case ports(Side, Transport, [UInt16])
    /// The port is in the named set, or with `false` is not.
    case portInSet(Side, Transport, String, Bool)
    /// The destination is in this block.
    case destinationBlock(CIDR)
    /// The address is in the named set of that family, or with `false` is not.
    case addressInSet(Side, IPAddress.Family, String, Bool)
    /// Source address and port, destination address and port are in the named set.
    case connectionInSet(IPAddress.Family, String)
    /// Destination address and port of UDP are in the named set.
    case destinationInSet(IPAddress.Family, String)
    /// Source and destination of UDP, address and port each, are in the named set.
    case flowInSet(IPAddress.Family, String)
    /// The first packet of a TCP connection: SYN without ACK, FIN or RST.
    case tcpSYN
    /// Any other packet of TCP.
    case tcpNotSYN
    case mark(Mark)
    /// conntrack could make no sense of the packet. Switches tracking on in the namespace.
    case conntrackInvalid
    /// The destination is this namespace itself, or a broadcast, multicast or anycast address.
    case localDestination
    /// The destination is none of this namespace's own addresses: the packet passes through.
    case foreignDestination
    /// The socket behind the packet belongs to this cgroup (by id) or one below it.
    case socketCgroup(CgroupReference)
    /// The packet comes from a socket with a local address: a connection of an application, not one of the kernel's
    /// own sockets that answer for closed connections.
    case socketBound
    /// There is a socket for the packet, of a connection or one that listens.
    case socketFound
    /// There is a socket for the packet, and it may have any address for its own.
    case socketTransparent
    /// A field of the connection's mark. Switches tracking on in the namespace.
    case conntrackMark(Mark)
    /// Nobody has put a mark on the connection. Switches tracking on in the namespace.
    case conntrackUnmarked
    /// The connection's mark is another one than this, be it none. Switches tracking on in the namespace.
    case conntrackOtherMark(UInt32)
    /// The packet answers the one that opened its connection, or with `false` goes the same way.
    case conntrackReply(Bool)
    /// NAT has given the connection another destination, or with `false` has not. Switches tracking on in the namespace.
    case conntrackTurned(Bool)
}

enum NftStatement: Hashable, Sendable {
    case counter
    /// A counter that begins at, or is shown with, what was counted before.
    case counted(packets: UInt64, bytes: UInt64)
    case accept
    case drop
    case rejectWithReset
    /// ICMP: nobody listens at the port. An application is told at once.
    case rejectUnreachable
    /// Puts the packet's flow, as an answer to it leaves, into the named set, or lets it stay there for longer.
    case rememberFlow(IPAddress.Family, String)
    case redirect(port: UInt16)
    case tproxy(IPAddress, port: UInt16)
    /// Hands the packet to the transparent listener at its own destination, whatever lingers there of a connection that
    /// has ended. Passed over where there is none.
    case tproxyToDestination(IPAddress.Family)
    case setMark(NftMatch.Mark)
    /// A field of the connection's mark, the rest of it kept. Switches tracking on in the namespace.
    case markFlow(NftMatch.Mark)
    case jump(String)
    /// As `jump`, without coming back.
    case goTo(String)
    /// Looks up and goes where the member says; goes on with the next rule where there is none.
    case lookUp(NftVerdictMap.Field, String)
    /// Sends the connection to this address.
    case dnat(IPAddress, port: UInt16)
    /// All of the connection's mark.
    case setConntrackMark(UInt32)
}
