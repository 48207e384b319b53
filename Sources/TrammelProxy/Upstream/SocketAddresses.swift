import Glibc
import NIOCore
import TrammelCore

extension SocketAddress {
    /// The same endpoint as NIO writes it.
    init(_ endpoint: IPEndpoint) {
        let bytes = endpoint.address.networkBytes
        switch endpoint.address.family {
        case .v4:
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = endpoint.port.bigEndian
            withUnsafeMutableBytes(of: &address.sin_addr) { $0.copyBytes(from: bytes) }
            self.init(address, host: "")
        case .v6:
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = endpoint.port.bigEndian
            withUnsafeMutableBytes(of: &address.sin6_addr) { $0.copyBytes(from: bytes) }
            self.init(address, host: "")
        }
    }

    /// The endpoint as Core writes it, an IPv4-mapped address unmapped; nil for a Unix socket's.
    var ipEndpoint: IPEndpoint? {
        withSockAddr { address, size in
            // struct sockaddr_in and sockaddr_in6 of the Linux ABI: family, port, then the address.
            let bytes = UnsafeRawBufferPointer(start: UnsafeRawPointer(address), count: size)
            let port = UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
            let ip: Range<Int>
            switch Int32(bytes.loadUnaligned(as: UInt16.self)) {
            case AF_INET: ip = 4..<8
            case AF_INET6: ip = 8..<24
            default: return nil
            }
            return IPAddress(networkBytes: UnsafeRawBufferPointer(rebasing: bytes[ip]))
                .map { IPEndpoint($0.unmapped, port) }
        }
    }
}
