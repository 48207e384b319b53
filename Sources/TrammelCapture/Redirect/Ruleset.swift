package import TrammelCore

/// A table of nftables rules as a value: what should be in the kernel, before anything is done about it.
package struct Ruleset: Sendable, Hashable {
    package static let tableName = "trammel"

    package var sets: [AddressSet] = []
    package var chains: [Chain] = []

    /// Address blocks of one family, looked up at a cost that does not grow with their number.
    package struct AddressSet: Sendable, Hashable {
        package var name: String
        package var family: IPAddress.Family
        package var blocks: [CIDR]
    }

    package struct Chain: Sendable, Hashable {
        package var name: String
        package var type: ChainType
        package var hook: Hook
        package var priority: Int32
        package var rules: [Rule]
    }

    package enum ChainType: String, Sendable { case filter, route, nat }

    package enum Hook: UInt32, Sendable {
        case prerouting = 0
        case output = 3
    }

    package struct Rule: Sendable, Hashable {
        package var matches: [Match]
        package var counts = false
        package var action: Action

        init(_ matches: Match..., counts: Bool = false, then action: Action) {
            self.matches = matches
            self.counts = counts
            self.action = action
        }
    }

    /// Conditions, under the words of nft(8).
    package enum Match: Sendable, Hashable {
        /// `socket cgroupv2 level LEVEL ID`
        case socketCgroup(id: UInt64, level: UInt32)
        /// `meta mark & mask == value`
        case mark(value: UInt32, mask: UInt32)
        /// `iifname "lo"`, or that it is not.
        case fromLoopback(Bool)
        /// `fib daddr type != unicast`: local, broadcast, multicast, anycast.
        case destinationNotUnicast
        case tcp, udp
        case ipv4, ipv6
        case destinationPort(UInt16)
        /// `tcp flags & (fin|syn|rst|ack) == syn`
        case tcpSyn
        /// `tcp flags & (fin|syn|rst|ack) == syn|ack`
        case tcpSynAck
        /// `tcp flags & rst == rst`
        case tcpReset
        /// `socket transparent 1`
        case transparentSocket
        /// `ip daddr @name` or `ip6 daddr @name`
        case destinationIn(set: String, IPAddress.Family)
        /// `ct state invalid`
        case conntrackInvalid
    }

    package enum Action: Sendable, Hashable {
        case accept, drop
        /// `meta mark set meta mark & 0xfffff000 | value`
        case setMark(UInt32)
        /// `tproxy ip to ADDRESS:PORT accept`
        case tproxy(IPEndpoint)
        /// `redirect to :PORT`
        case redirect(UInt16)
        /// `reject with tcp reset`
        case reset
    }
}
