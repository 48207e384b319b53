import Glibc
import NIOCore
import TrammelCore

/// A UDP socket for one question to one resolver.
///
/// It is connected, so the kernel lets in what comes from that resolver and nothing else, tells when nobody is there,
/// and has chosen a source port that is not to be guessed (RFC 5452 section 9.2).
struct ResolverSocket: ~Copyable {
    let descriptor: CInt

    /// Made in the network namespace of the calling thread.
    /// - Parameter source: the address that the workload itself asked from, which the resolver is to see. Where it
    ///   cannot be taken, as the link-local address of one interface, the route decides.
    /// - Throws: `TrammelError` when there is no descriptor left or no way to the resolver.
    init(to resolver: IPEndpoint, from source: IPAddress) throws {
        let flags = CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        descriptor = socket(resolver.address.family == .v4 ? AF_INET : AF_INET6, flags, 0)
        guard descriptor >= 0 else { throw ResolverSocket.failure("ask \(resolver)", errno) }
        if source.family == resolver.address.family {
            _ = SocketAddress(IPEndpoint(source, 0)).withSockAddr { bind(descriptor, $0, socklen_t($1)) }
        }
        let result = SocketAddress(resolver).withSockAddr { connect(descriptor, $0, socklen_t($1)) }
        guard result == 0 else { throw ResolverSocket.failure("ask \(resolver)", errno) }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    private static func failure(_ what: String, _ code: CInt) -> TrammelError {
        TrammelError(.unavailable, code: "resolver", "cannot \(what): \(String(cString: strerror(code)))")
    }

    /// Whether the question may be answered: false when it is known that nobody is there. What the kernel has no room
    /// for at the moment is lost on the way, as datagrams are.
    func send(_ bytes: [UInt8]) -> Bool {
        let flags = CInt(MSG_NOSIGNAL) | CInt(MSG_DONTWAIT)
        return Glibc.send(descriptor, bytes, bytes.count, flags) >= 0 || errno == EAGAIN || errno == ENOBUFS
    }

    enum Arrival {
        case message([UInt8])
        case nothing
        /// The network said that nobody is there.
        case unreachable
    }

    func receive() -> Arrival {
        withUnsafeTemporaryAllocation(byteCount: 65_535, alignment: 8) { buffer in
            let count = recv(descriptor, buffer.baseAddress, buffer.count, CInt(MSG_DONTWAIT))
            if count >= 0 { return .message(Array(buffer[..<count])) }
            return errno == EAGAIN || errno == EINTR ? .nothing : .unreachable
        }
    }
}
