import Glibc
import NIOCore
import TrammelCore

/// A UDP socket for one question to one resolver.
///
/// It is connected, so the kernel lets in what comes from that resolver and nothing else, and tells when nobody is there. Its
/// source port is not to be guessed (RFC 5452 section 9.2), and none that the kernel gives to applications: where NAT captures,
/// conntrack knows the two addresses and ports for half a minute more as a flow that goes past, and a question of an
/// application's by the same port would follow it.
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
        let any: IPAddress = resolver.address.family == .v4 ? .anyV4 : .anyV6
        if !takePort(at: source.family == any.family ? source : any) { _ = takePort(at: any) }
        let result = SocketAddress(resolver).withSockAddr { connect(descriptor, $0, socklen_t($1)) }
        guard result == 0 else { throw ResolverSocket.failure("ask \(resolver)", errno) }
    }

    /// Below those of which the kernel chooses (`net.ipv4.ip_local_port_range`, 32,768 to 60,999 unless somebody changes it), and
    /// above the agent's own.
    static let ports: ClosedRange<UInt16> = 16_384...32_767

    /// - Returns: false where the address cannot be had, or no port was free; then the kernel chooses.
    private func takePort(at address: IPAddress) -> Bool {
        for _ in 0..<8 {
            let own = SocketAddress(IPEndpoint(address, UInt16.random(in: Self.ports)))
            if own.withSockAddr({ bind(descriptor, $0, socklen_t($1)) }) == 0 { return true }
            guard errno == EADDRINUSE else { return false }
        }
        return false
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
