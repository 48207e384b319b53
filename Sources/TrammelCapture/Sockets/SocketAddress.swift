import CNetfilter
import Glibc
import TrammelCore

extension IPEndpoint {
    /// Reads a `sockaddr_in` or `sockaddr_in6`; nil for any other family.
    init?(_ storage: sockaddr_storage) {
        let found: IPEndpoint? = withUnsafeBytes(of: storage) { bytes in
            switch CInt(storage.ss_family) {
            case AF_INET:
                let address = bytes.loadUnaligned(as: sockaddr_in.self)
                return IPEndpoint(
                    IPAddress(v4: UInt32(bigEndian: address.sin_addr.s_addr)), UInt16(bigEndian: address.sin_port))
            case AF_INET6:
                let address = bytes.loadUnaligned(as: sockaddr_in6.self)
                let port = UInt16(bigEndian: address.sin6_port)
                return withUnsafeBytes(of: address.sin6_addr) { IPAddress(networkBytes: $0) }
                    .map { IPEndpoint($0, port) }
            default:
                return nil
            }
        }
        guard let found else { return nil }
        self = found
    }

    /// Lends the endpoint as the socket address that the kernel's calls take.
    func withSocketAddress<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) throws -> R) rethrows -> R {
        var storage = sockaddr_storage()
        let length: Int
        switch address.family {
        case .v4:
            var value = sockaddr_in()
            value.sin_family = sa_family_t(AF_INET)
            value.sin_port = port.bigEndian
            value.sin_addr.s_addr = UInt32(truncatingIfNeeded: address.low).bigEndian
            length = MemoryLayout<sockaddr_in>.size
            withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: value, as: sockaddr_in.self) }
        case .v6:
            var value = sockaddr_in6()
            value.sin6_family = sa_family_t(AF_INET6)
            value.sin6_port = port.bigEndian
            withUnsafeMutableBytes(of: &value.sin6_addr) { $0.copyBytes(from: address.networkBytes) }
            length = MemoryLayout<sockaddr_in6>.size
            withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: value, as: sockaddr_in6.self) }
        }
        return try withUnsafePointer(to: storage) {
            try $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { try body($0, socklen_t(length)) }
        }
    }
}

extension Descriptor {
    /// A socket in the network namespace of the calling thread: nonblocking, closed on exec.
    static func socket(_ family: IPAddress.Family, _ type: __socket_type) throws -> Descriptor {
        let flags = CInt(type.rawValue) | CInt(SOCK_NONBLOCK.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        let fd = Glibc.socket(family == .v4 ? AF_INET : AF_INET6, flags, 0)
        guard fd >= 0 else { throw TrammelError.kernel("open a socket", errno: errno, token: "socket") }
        return Descriptor(owning: fd)
    }

    func set(_ level: CInt, _ name: CInt, _ value: CInt = 1) throws {
        var value = value
        guard setsockopt(number, level, name, &value, socklen_t(MemoryLayout<CInt>.size)) == 0 else {
            throw TrammelError.kernel("set socket option \(name) of level \(level)", errno: errno, token: "socket")
        }
    }

    func bind(to endpoint: IPEndpoint) throws {
        let result = endpoint.withSocketAddress { Glibc.bind(number, $0, $1) }
        guard result == 0 else {
            throw TrammelError.kernel("listen on \(endpoint)", errno: errno, token: "socket")
        }
    }
}
