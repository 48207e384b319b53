import CNetfilter
import Glibc
package import TrammelCore

/// A TCP socket of a network namespace, as sock_diag(7) tells it.
package struct TCPSocketInfo: Hashable, Sendable {
    package let local: IPEndpoint
    package let remote: IPEndpoint
    /// The kernel's TCP state: 1 ESTABLISHED … 10 LISTEN.
    package let state: UInt8
    /// Names the socket even when another one takes its addresses.
    package let cookie: UInt64
    /// An IPv6 socket that takes IPv4 as well when its address is the wildcard; false for `IPV6_V6ONLY`.
    package let isV6Only: Bool
    /// The id of the v2 cgroup of the process that made it; an accepted one has its listener's. Nil where the kernel does
    /// not tell: of connections that are not through with their handshake, and before Linux 5.8.
    package var cgroup: UInt64?
    /// Of whom made it.
    package var user: UInt32 = 0
    /// The mark of its packets; an accepted one bears that of the packet that opened it.
    package var mark: UInt32 = 0

    static let established: UInt8 = 1
    static let synSent: UInt8 = 2
    static let listen: UInt8 = 10
}

/// sock_diag in one network namespace.
struct SocketDiagnostics: ~Copyable {
    var socket: NetlinkSocket

    /// Opened in the network namespace that the calling thread is in.
    init() throws { socket = try NetlinkSocket(family: NETLINK_SOCK_DIAG) }

    /// The TCP sockets in the given states. A socket that opens or ends meanwhile may or may not be among them.
    mutating func tcpSockets(_ family: IPAddress.Family, states: [UInt8]) throws -> [TCPSocketInfo] {
        var request = inet_diag_req_v2()
        request.sdiag_family = RouteMessages.family(family)
        request.sdiag_protocol = UInt8(IPPROTO_TCP)
        request.idiag_states = states.reduce(0) { $0 | 1 << UInt32($1) }
        request.idiag_ext = 0
        var message = NetlinkMessage(type: UInt16(SOCK_DIAG_BY_FAMILY), flags: 0)
        message.append(fixed: request)
        var sockets: [TCPSocketInfo] = []
        do {
            try socket.dump(message) { reply in
                let bytes = reply.payload
                if let found = TCPSocketInfo(bytes) { sockets.append(found) }
            }
        } catch let failure as NetlinkFailure where failure.code == EINTR {
            // What was listed is still true of each socket listed.
        } catch let failure as NetlinkFailure {
            throw TrammelError.kernel("list TCP sockets", errno: failure.code, token: "sock-diag")
        }
        return sockets
    }

    /// The TCP socket that has both ends as given; nil where there is none.
    mutating func tcpSocket(local: IPEndpoint, remote: IPEndpoint) throws -> TCPSocketInfo? {
        var request = inet_diag_req_v2()
        request.sdiag_family = RouteMessages.family(local.address.family)
        request.sdiag_protocol = UInt8(IPPROTO_TCP)
        request.idiag_states = .max
        TCPSocketInfo.identify(local, remote, cookie: .max, in: &request.id)
        var message = NetlinkMessage(type: UInt16(SOCK_DIAG_BY_FAMILY), flags: 0)
        message.append(fixed: request)
        var found: TCPSocketInfo?
        do {
            try socket.request(message) { reply in
                let bytes = reply.payload
                found = TCPSocketInfo(bytes)
            }
        } catch let failure as NetlinkFailure where failure.code == ENOENT {
            return nil
        } catch let failure as NetlinkFailure {
            throw TrammelError.kernel("look up a TCP socket", errno: failure.code, token: "sock-diag")
        }
        // The kernel falls back to whoever listens there.
        return found.flatMap { $0.remote.port == remote.port ? $0 : nil }
    }

    /// Aborts a connection: both ends see a reset (SOCK_DESTROY). One that is gone already is no error.
    mutating func destroy(_ info: TCPSocketInfo) throws {
        var request = inet_diag_req_v2()
        request.sdiag_family = RouteMessages.family(info.local.address.family)
        request.sdiag_protocol = UInt8(IPPROTO_TCP)
        request.idiag_states = .max
        TCPSocketInfo.identify(info.local, info.remote, cookie: info.cookie, in: &request.id)
        var message = NetlinkMessage(type: UInt16(SOCK_DESTROY), flags: 0)
        message.append(fixed: request)
        do {
            try socket.request(message)
        } catch let failure as NetlinkFailure where failure.code == ENOENT {
        } catch let failure as NetlinkFailure {
            throw TrammelError.kernel("abort a connection", errno: failure.code, token: "sock-diag")
        }
    }
}

extension TCPSocketInfo {
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard let (message, attributes) = bytes.leading(inet_diag_msg.self) else { return nil }
        let length = Int32(message.idiag_family) == AF_INET ? 4 : 16
        func endpoint(_ address: UnsafeRawBufferPointer, _ port: UInt16) -> IPEndpoint? {
            IPAddress(networkBytes: UnsafeRawBufferPointer(rebasing: address.prefix(length))).map {
                IPEndpoint($0, UInt16(bigEndian: port))
            }
        }
        let id = message.id
        guard let local = withUnsafeBytes(of: id.idiag_src, { endpoint($0, id.idiag_sport) }),
            let remote = withUnsafeBytes(of: id.idiag_dst, { endpoint($0, id.idiag_dport) })
        else { return nil }
        var only = false
        var cgroup: UInt64?
        var mark: UInt32 = 0
        for attribute in NetlinkAttributes(attributes) {
            switch attribute.type {
            case Int(INET_DIAG_SKV6ONLY): only = attribute.number(UInt8.self) == 1
            case Int(INET_DIAG_CGROUP_ID): cgroup = attribute.number(UInt64.self)
            case Int(INET_DIAG_MARK): mark = attribute.number(UInt32.self) ?? 0
            default: break
            }
        }
        self.init(
            local: local, remote: remote, state: message.idiag_state,
            cookie: UInt64(id.idiag_cookie.0) | UInt64(id.idiag_cookie.1) << 32, isV6Only: only, cgroup: cgroup,
            user: message.idiag_uid, mark: mark)
    }

    /// - Parameter cookie: all ones for whichever socket has the ends.
    static func identify(
        _ local: IPEndpoint, _ remote: IPEndpoint, cookie: UInt64, in id: inout inet_diag_sockid
    ) {
        id.idiag_sport = local.port.bigEndian
        id.idiag_dport = remote.port.bigEndian
        withUnsafeMutableBytes(of: &id.idiag_src) { $0.copyBytes(from: local.address.networkBytes) }
        withUnsafeMutableBytes(of: &id.idiag_dst) { $0.copyBytes(from: remote.address.networkBytes) }
        id.idiag_cookie = (UInt32(truncatingIfNeeded: cookie), UInt32(truncatingIfNeeded: cookie >> 32))
    }
}
