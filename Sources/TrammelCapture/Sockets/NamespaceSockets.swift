// IPPROTO_… belongs to whichever C module met its header first.
import CNetfilter
import CTrammelLinux
import Glibc
import Synchronization
package import TrammelCore

/// Makes sockets inside the namespaces of attached workloads.
package final class NamespaceSockets: SocketFactory {
    private let home: NetworkNamespace
    private let namespaces = Mutex<[WorkloadID: NetworkNamespace]>([:])

    package init() throws { home = try NetworkNamespace.ofTheAgent() }

    func add(_ namespace: NetworkNamespace, for workload: WorkloadID) {
        namespaces.withLock { $0[workload] = namespace }
    }

    func remove(_ workload: WorkloadID) {
        _ = namespaces.withLock { $0.removeValue(forKey: workload) }
    }

    package func options(for plan: UpstreamSocketPlan) -> [SocketOption] {
        guard let source = plan.source else { return [] }
        let transparent =
            source.family == .v4
            ? SocketOption(level: CInt(IPPROTO_IP), name: IP_TRANSPARENT, value: 1)
            : SocketOption(level: CInt(IPPROTO_IPV6), name: IPV6_TRANSPARENT, value: 1)
        return [
            SocketOption(level: SOL_SOCKET, name: SO_MARK, value: CInt(Marks.onward)),
            transparent,
            // The port is chosen at connect, by the whole tuple: binding address and port would collide.
            SocketOption(level: CInt(IPPROTO_IP), name: IP_BIND_ADDRESS_NO_PORT, value: 1),
        ]
    }

    package func withNetworkNamespace<R>(of workload: WorkloadID, _ body: () throws -> R) throws -> R {
        guard let namespace = namespaces.withLock({ $0[workload] }) else {
            throw TrammelError(
                .notFound, code: "workload-gone", "the workload is not attached any more")
        }
        return try namespace.inside(home: home, body)
    }
}

/// Asks the kernel where a captured connection was going.
package struct KernelOriginalDestination: OriginalDestinationSource {
    package init() {}

    package func originalDestination(ofAccepted socket: CInt, mode: CaptureMode) throws -> OriginalDestination {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let failure = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(socket, $0, &length) }
        }
        guard failure == 0 else { throw KernelError.make("ask for a socket's address", errno) }
        let isIPv6 = storage.ss_family == sa_family_t(AF_INET6)
        switch mode {
        case .tproxy:
            return try OriginalDestination(Self.endpoint(of: storage))
        case .redirect:
            var bytes = (UInt64(0), UInt64(0))
            var port: UInt16 = 0
            let failure = withUnsafeMutableBytes(of: &bytes) { buffer in
                trammel_original_destination(
                    socket, isIPv6 ? 1 : 0, buffer.baseAddress?.assumingMemoryBound(to: UInt8.self), &port)
            }
            guard failure == 0 else {
                throw KernelError.make("ask where a connection was going", failure)
            }
            let address = withUnsafeBytes(of: bytes) {
                IPAddress(networkBytes: UnsafeRawBufferPointer(rebasing: $0[..<(isIPv6 ? 16 : 4)]))
            }
            guard let address else { throw KernelError.make("ask where a connection was going", EAFNOSUPPORT) }
            return OriginalDestination(IPEndpoint(address, UInt16(bigEndian: port)))
        }
    }

    static func endpoint(of storage: sockaddr_storage) throws -> IPEndpoint {
        try withUnsafeBytes(of: storage) { bytes in
            // Family, port, then the address: struct sockaddr_in and sockaddr_in6.
            let port = UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
            let range = storage.ss_family == sa_family_t(AF_INET6) ? 8..<24 : 4..<8
            guard let address = IPAddress(networkBytes: UnsafeRawBufferPointer(rebasing: bytes[range])) else {
                throw KernelError.make("read a socket's address", EAFNOSUPPORT)
            }
            return IPEndpoint(address.unmapped, port)
        }
    }
}
