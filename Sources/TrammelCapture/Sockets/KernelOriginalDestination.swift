import CNetfilter
import Glibc
package import TrammelCore

/// Asks the kernel where a captured TCP connection was going: conntrack by `SO_ORIGINAL_DST` under redirect, the
/// socket's own local address under tproxy. Costs one or two system calls; safe on any thread.
package struct KernelOriginalDestination: OriginalDestinationSource {
    private let ports: CapturePorts

    /// - Parameter ports: the agent's own, which nobody may have been going to.
    package init(ports: CapturePorts = CapturePorts()) { self.ports = ports }

    /// `SO_ORIGINAL_DST` of linux/netfilter_ipv4.h, and by the same number IPv6's at its own level.
    private static let originalDestination: CInt = 80

    package func originalDestination(ofAccepted socket: CInt, mode: CaptureMode) throws -> OriginalDestination {
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        var storage = sockaddr_storage()
        let result = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(socket, $0, &length) }
        }
        guard result == 0, let local = IPEndpoint(storage) else {
            throw KernelOriginalDestination.unknown(errno, "the socket has no local address")
        }
        switch mode {
        case .tproxy:
            try refuseDirectHit(local)
            return OriginalDestination(IPEndpoint(local.address.unmapped, local.port))
        case .redirect:
            let original = try natDestination(of: socket, local: local.address)
            // conntrack answers for a connection that was never redirected too, with the listener's own address.
            guard original != local else { throw KernelOriginalDestination.directHit(original) }
            try refuseDirectHit(original)
            return OriginalDestination(original)
        }
    }

    /// - Parameter local: decides whom to ask. On a dual-stack socket an IPv4 peer appears as `::ffff:a.b.c.d`, and
    ///   only the IPv4 side of conntrack knows it.
    private func natDestination(of socket: CInt, local: IPAddress) throws -> IPEndpoint {
        var storage = sockaddr_storage()
        let isV4 = local.unmapped.family == .v4
        var length = socklen_t(isV4 ? MemoryLayout<sockaddr_in>.size : MemoryLayout<sockaddr_in6>.size)
        let level = isV4 ? CInt(IPPROTO_IP) : CInt(IPPROTO_IPV6)
        let result = getsockopt(socket, level, KernelOriginalDestination.originalDestination, &storage, &length)
        guard result == 0 else {
            throw KernelOriginalDestination.unknown(errno, "the kernel tracks no such connection")
        }
        guard let endpoint = IPEndpoint(storage) else {
            throw KernelOriginalDestination.unknown(0, "the kernel answered with family \(storage.ss_family)")
        }
        return endpoint
    }

    private func refuseDirectHit(_ destination: IPEndpoint) throws {
        let address = destination.address.unmapped
        guard ports.all.contains(destination.port) else { return }
        if address.isLoopback || CapturePlace.hostBlocks.contains(where: { $0.contains(address) }) {
            throw KernelOriginalDestination.directHit(destination)
        }
    }

    private static func directHit(_ destination: IPEndpoint) -> TrammelError {
        TrammelError(
            .forbidden, code: "direct-hit", "\(destination) is a capture port and was dialled directly",
            hint: "connect to the service itself")
    }

    private static func unknown(_ code: CInt, _ why: String) -> TrammelError {
        let reason = code == 0 ? "" : " (\(TrammelError.text(ofErrno: code)))"
        return TrammelError(
            .unavailable, code: "original-destination-unknown",
            "the connection's original destination is unknown: \(why)\(reason)",
            hint: "a flush of the conntrack table does this; the next connection is not affected")
    }
}
