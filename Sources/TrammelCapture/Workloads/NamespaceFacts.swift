import CNetfilter
import Glibc
package import TrammelCore

/// What a network namespace has and how it is set, as far as capture depends on it. Read by a thread inside it.
package struct NamespaceFacts: Sendable, Hashable {
    /// Of its interfaces that are up, loopback and link-local addresses left out; IPv4 first.
    package var addresses: [IPAddress]
    package var hasIPv6: Bool
    /// TCP connections that are older than the rules and would be cut by a mode that looks at every packet.
    package var establishedConnections: Int
    /// Those of the blocks asked for that no route covers.
    package var uncovered: [CIDR]
    /// net.ipv4.tcp_fwmark_accept
    package var acceptsMarks: Bool

    static func read(needing blocks: [CIDR]) throws -> NamespaceFacts {
        let hasIPv6 = (try? !File.text(of: "/proc/thread-self/net/if_inet6").isEmpty) ?? false
        let open = ["tcp", "tcp6"].reduce(0) { count, name in
            count + established((try? File.text(of: "/proc/thread-self/net/\(name)")) ?? "")
        }
        return NamespaceFacts(
            addresses: try addresses(), hasIPv6: hasIPv6, establishedConnections: open,
            uncovered: try blocks.filter { block in
                if block.base.family == .v6, !hasIPv6 { return false }
                return try !isCovered(block)
            },
            acceptsMarks: try File.text(of: markSetting).hasPrefix("1"))
    }

    static let markSetting = "/proc/sys/net/ipv4/tcp_fwmark_accept"

    private static func addresses() throws -> [IPAddress] {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { throw KernelError.make("list the interfaces", errno) }
        defer { freeifaddrs(list) }
        var found: [IPAddress] = []
        var next = list
        while let entry = next {
            next = entry.pointee.ifa_next
            guard let address = entry.pointee.ifa_addr, entry.pointee.ifa_flags & UInt32(IFF_UP) != 0 else {
                continue
            }
            let family = Int32(address.pointee.sa_family)
            guard family == AF_INET || family == AF_INET6 else { continue }
            let bytes = UnsafeRawBufferPointer(start: address, count: family == AF_INET ? 16 : 28)
            let range = family == AF_INET ? 4..<8 : 8..<24
            guard let ip = IPAddress(networkBytes: UnsafeRawBufferPointer(rebasing: bytes[range])),
                !ip.isLoopback, !ip.isLinkLocal
            else { continue }
            found.append(ip)
        }
        return found.sorted()
    }

    /// Lines of /proc/net/tcp (proc(5)): `sl local remote st …`, state 01 being ESTABLISHED.
    private static func established(_ table: String) -> Int {
        table.split(separator: "\n").dropFirst().count { line in
            let words = line.split(separator: " ", maxSplits: 4)
            guard words.count > 3, words[3] == "01" else { return false }
            // 127.0.0.0/8 in the kernel's byte order, and ::1.
            return !words[1].split(separator: ":")[0].hasSuffix("7F")
                && !words[1].hasPrefix("00000000000000000000000001000000")
        }
    }

    private static func isCovered(_ block: CIDR) throws -> Bool {
        let socket = try NetlinkSocket(NETLINK_ROUTE)
        // Any address of the block will do: its routes do not tell them apart.
        let refusals = try socket.transact(
            RouteMessage.lookup(block.base), acknowledged: [RouteMessage.sequence])
        return refusals.isEmpty
    }
}
