// SOCK_… belongs to whichever C module met its header first.
import CNetfilter
import Glibc
import TrammelCore

/// Opens capture listeners: on loopback only, so that nothing outside the namespace reaches them but by the rules, and
/// transparent, so that they may stand in for any destination.
enum ListenerSocket {
    /// A bound, not yet listening stream socket, in the namespace that the calling thread is in.
    static func open(_ address: ListenerAddress) throws -> Descriptor {
        let endpoint = address.endpoint
        let isIPv6 = endpoint.address.family == .v6
        let number = socket(
            isIPv6 ? AF_INET6 : AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0
        )
        guard number >= 0 else { throw KernelError.make("open a capture listener", errno) }
        let descriptor = Descriptor(owning: number)
        try set(descriptor, SOL_SOCKET, SO_REUSEADDR)
        if isIPv6 {
            try set(descriptor, CInt(IPPROTO_IPV6), IPV6_V6ONLY)
            try set(descriptor, CInt(IPPROTO_IPV6), IPV6_TRANSPARENT)
        } else {
            try set(descriptor, CInt(IPPROTO_IP), IP_TRANSPARENT)
        }
        try bind(descriptor, to: endpoint)
        return descriptor
    }

    private static func set(_ socket: borrowing Descriptor, _ level: CInt, _ name: CInt) throws {
        var one: CInt = 1
        guard setsockopt(socket.number, level, name, &one, socklen_t(MemoryLayout<CInt>.size)) == 0 else {
            throw KernelError.make("prepare a capture listener", errno)
        }
    }

    private static func bind(_ socket: borrowing Descriptor, to endpoint: IPEndpoint) throws {
        var storage = [UInt8](repeating: 0, count: endpoint.address.family == .v6 ? 28 : 16)
        let family = UInt16(endpoint.address.family == .v6 ? AF_INET6 : AF_INET)
        withUnsafeBytes(of: family) { storage.replaceSubrange(0..<2, with: $0) }
        withUnsafeBytes(of: endpoint.port.bigEndian) { storage.replaceSubrange(2..<4, with: $0) }
        let address = endpoint.address.networkBytes
        let start = endpoint.address.family == .v6 ? 8 : 4
        storage.replaceSubrange(start..<start + address.count, with: address)
        let failure = storage.withUnsafeBytes { bytes in
            Glibc.bind(
                socket.number, bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
        }
        guard failure == 0 else {
            throw KernelError.make(
                "bind a capture listener to \(endpoint)", errno,
                hint: errno == EADDRINUSE
                    ? "something in the workload's namespace uses the port; `ports` in trammeld.yaml sets another" : nil
            )
        }
    }
}
