import CNetfilter
import Glibc
import TrammelCore

/// What the kernel says of an open socket that another process has made: enough to know what it is for.
struct SocketFacts: Hashable {
    /// The number of the network namespace that it belongs to, whoever has it open (SO_NETNS_COOKIE, Linux 5.14).
    let namespace: UInt64
    /// AF_INET, AF_INET6, AF_NETLINK…
    let domain: CInt
    /// SOCK_STREAM, SOCK_DGRAM…
    let type: CInt
    let isListening: Bool
    /// Nil for what has no address of the Internet's.
    let local: IPEndpoint?

    /// Nil for what is no socket, and where the kernel does not tell.
    init?(_ descriptor: CInt) {
        guard let namespace = SocketFacts.namespace(of: descriptor),
            let domain: CInt = SocketFacts.option(SO_DOMAIN, of: descriptor, 0),
            let type: CInt = SocketFacts.option(SO_TYPE, of: descriptor, 0),
            let listens: CInt = SocketFacts.option(SO_ACCEPTCONN, of: descriptor, 0)
        else { return nil }
        self.namespace = namespace
        self.domain = domain
        self.type = type
        isListening = listens != 0
        var address = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let isKnown = withUnsafeMutablePointer(to: &address) {
            // The kernel writes a sockaddr of its family; sockaddr_storage holds any.
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) == 0 }
        }
        local = isKnown ? IPEndpoint(address) : nil
    }

    /// The number of the network namespace of any socket; nil before Linux 5.14.
    static func namespace(of socket: CInt) -> UInt64? { option(71, of: socket, 0) }

    /// Of the network namespace that the calling thread is in.
    static func namespaceHere() -> UInt64? {
        let socket = Descriptor(owning: Glibc.socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0))
        return namespace(of: socket.number)
    }

    fileprivate static func option<Value: FixedWidthInteger>(_ name: CInt, of socket: CInt, _ empty: Value) -> Value? {
        var value = empty
        var length = socklen_t(MemoryLayout<Value>.size)
        return getsockopt(socket, SOL_SOCKET, name, &value, &length) == 0 ? value : nil
    }
}

/// The kernel's number for a socket (SO_COOKIE, Linux 4.12), which no other has while the machine runs, whichever process has
/// it open.
package enum SocketNumber {
    package static func of(_ socket: CInt) -> UInt64? { SocketFacts.option(57, of: socket, 0) }
}
