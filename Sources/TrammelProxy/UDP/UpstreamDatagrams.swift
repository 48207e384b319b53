import Glibc
import NIOCore
import TrammelCore

/// A UDP socket onward, for one flow. It is connected, so that the kernel lets in what comes from there and nothing else,
/// and tells when nobody is there.
struct UpstreamDatagrams: ~Copyable {
    let descriptor: CInt

    /// Made in the network namespace of the calling thread.
    /// - Parameter source: the address that the workload itself sent from, which the far end is to see. Where it cannot be
    ///   taken the route decides.
    /// - Throws: `TrammelError` when there is no descriptor left or no way there.
    init(to remote: IPEndpoint, from source: IPAddress?) throws(DatagramDialFailure) {
        let flags = CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        descriptor = socket(remote.address.family == .v4 ? AF_INET : AF_INET6, flags, 0)
        guard descriptor >= 0 else { throw .noDescriptor }
        if let source, source.family == remote.address.family {
            _ = SocketAddress(IPEndpoint(source, 0)).withSockAddr { bind(descriptor, $0, socklen_t($1)) }
        }
        let result = SocketAddress(remote).withSockAddr { connect(descriptor, $0, socklen_t($1)) }
        guard result == 0 else { throw .noWay }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    var local: IPEndpoint? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        return result == 0 ? IPEndpoint(storage) : nil
    }

    enum Result {
        case done(Int)
        /// Nothing to read now, or no room to write.
        case blocked
        /// What was sent before was answered by an error, and this call had no other effect.
        case refused(DatagramRefusal)
        case tooLong
        case failed
    }

    func send(_ bytes: UnsafeRawBufferPointer) -> Result {
        while true {
            let count = Glibc.send(
                descriptor, bytes.baseAddress, bytes.count, CInt(MSG_NOSIGNAL) | CInt(MSG_DONTWAIT))
            if count >= 0 { return .done(count) }
            if errno != EINTR { return Result(errno) }
        }
    }

    func receive(into buffer: UnsafeMutableRawBufferPointer) -> Result {
        while true {
            let count = recv(descriptor, buffer.baseAddress, buffer.count, CInt(MSG_DONTWAIT))
            if count >= 0 { return .done(count) }
            if errno != EINTR { return Result(errno) }
        }
    }
}

enum DatagramDialFailure: Error {
    case noDescriptor, noWay
}

extension UpstreamDatagrams.Result {
    fileprivate init(_ code: CInt) {
        switch code {
        case EAGAIN, ENOBUFS, ENOMEM: self = .blocked
        case ECONNREFUSED: self = .refused(.portUnreachable)
        case EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, ENETDOWN, ENOPROTOOPT: self = .refused(.hostUnreachable)
        case EACCES, EPERM: self = .refused(.prohibited)
        case EMSGSIZE: self = .tooLong
        default: self = .failed
        }
    }
}

extension IPEndpoint {
    fileprivate init?(_ storage: sockaddr_storage) {
        let found: IPEndpoint? = withUnsafeBytes(of: storage) { bytes in
            let port = UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
            let range: Range<Int>
            switch CInt(storage.ss_family) {
            case AF_INET: range = 4..<8
            case AF_INET6: range = 8..<24
            default: return nil
            }
            return IPAddress(networkBytes: UnsafeRawBufferPointer(rebasing: bytes[range])).map { IPEndpoint($0, port) }
        }
        guard let found else { return nil }
        self = found
    }
}
