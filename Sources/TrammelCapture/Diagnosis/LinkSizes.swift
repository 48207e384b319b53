import CNetfilter
import Glibc
package import TrammelCore

/// How long a packet may be on an interface of a workload's, and what it may meet further on.
package struct LinkSizes: Hashable, Sendable {
    package struct Link: Hashable, Sendable {
        package let name: String
        /// Bytes of a packet, without the link's own head.
        package let mtu: Int

        package init(name: String, mtu: Int) {
            self.name = name
            self.mtu = mtu
        }
    }

    /// An interface that is up, and its other end where that is in the host's namespace.
    package struct Pair: Hashable, Sendable {
        package let own: Link
        package var peer: Link?

        package init(own: Link, peer: Link? = nil) {
            self.own = own
            self.peer = peer
        }
    }

    package var pairs: [Pair]
    /// By which the node's own packets leave; nil where it has no default route of IPv4.
    package var uplink: Link?

    package init(pairs: [Pair], uplink: Link? = nil) {
        self.pairs = pairs
        self.uplink = uplink
    }
}

extension WorkloadCapture {
    /// Nil for what lives on the host, whose interfaces are the node's own.
    package func linkSizes(of id: WorkloadID) throws -> LinkSizes? {
        let node = try SizedLink.list()
        let uplink = Uplink.name.flatMap { name in node.first { $0.link.name == name }?.link }
        let home = sockets.home.identity
        guard try attachment(id).workload.namespace.identity != home else { return nil }
        let own = try sockets.withNetworkNamespace(of: id) { try SizedLink.list() }
        let pairs = own.filter { $0.isUp && !$0.isLoopback }.map { link in
            // The two ends of a pair name each other.
            let peer = node.first { $0.index == link.other && $0.other == link.index }
            return LinkSizes.Pair(own: link.link, peer: peer?.link)
        }
        return LinkSizes(pairs: pairs, uplink: uplink)
    }
}

/// An interface as rtnetlink tells it.
private struct SizedLink {
    let index: UInt32
    let link: LinkSizes.Link
    let isUp: Bool
    let isLoopback: Bool
    /// The other end's index, in whatever namespace; nil where it has none.
    let other: UInt32?

    /// In the network namespace of the calling thread.
    static func list() throws -> [SizedLink] {
        var socket = try NetlinkSocket(family: NETLINK_ROUTE)
        var links: [SizedLink] = []
        do {
            try socket.dump(RouteMessages.dumpLinks()) { reply in
                guard let (header, attributes) = reply.payload.leading(ifinfomsg.self) else { return }
                var name = "", mtu: UInt32 = 0
                var other: UInt32?
                for attribute in NetlinkAttributes(attributes) {
                    switch attribute.type {
                    case Int(IFLA_IFNAME): name = attribute.text
                    case Int(IFLA_MTU): mtu = word(attribute.bytes)
                    case Int(IFLA_LINK): other = word(attribute.bytes)
                    default: break
                    }
                }
                links.append(
                    SizedLink(
                        index: UInt32(bitPattern: header.ifi_index), link: LinkSizes.Link(name: name, mtu: Int(mtu)),
                        isUp: header.ifi_flags & UInt32(IFF_UP.rawValue) != 0,
                        isLoopback: header.ifi_flags & UInt32(IFF_LOOPBACK.rawValue) != 0, other: other))
            }
        } catch let failure as NetlinkFailure where failure.code != EINTR {
            throw TrammelError.kernel("list the interfaces", errno: failure.code, token: "rtnetlink")
        }
        return links
    }

    private static func word(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        bytes.count >= 4 ? bytes.loadUnaligned(as: UInt32.self) : 0
    }
}

private enum Uplink {
    /// The interface of the default route of IPv4, in the network namespace of the calling thread.
    static var name: String? {
        let routes = (try? SystemFile.read("/proc/thread-self/net/route")) ?? ""
        for line in routes.split(separator: "\n").dropFirst() {
            let words = line.split(separator: "\t")
            // Destination and mask are hexadecimal; a default route has neither.
            if words.count > 7, words[1] == "00000000", words[7] == "00000000" { return String(words[0]) }
        }
        return nil
    }
}
