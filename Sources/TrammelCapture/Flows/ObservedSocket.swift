import CNetfilter
import Glibc
import TrammelCore

/// A socket with what tells whose it is and what it has carried.
struct ObservedSocket: Hashable, Sendable {
    let info: TCPSocketInfo
    /// The cgroup of whoever made it, by inode; nil where the kernel does not say.
    let cgroup: UInt64?
    let user: UInt32
    /// Payload that the peer has acknowledged, and payload that came; 0 where the kernel does not say.
    let bytesSent: UInt64
    let bytesReceived: UInt64

    init?(_ bytes: UnsafeRawBufferPointer) {
        guard let info = TCPSocketInfo(bytes), let (message, attributes) = bytes.leading(inet_diag_msg.self) else {
            return nil
        }
        self.info = info
        user = message.idiag_uid
        var cgroup: UInt64?
        var sent: UInt64 = 0
        var received: UInt64 = 0
        for attribute in NetlinkAttributes(attributes) {
            switch attribute.type {
            case Int(INET_DIAG_CGROUP_ID): cgroup = attribute.number(UInt64.self)
            case Int(INET_DIAG_INFO):
                sent = ObservedSocket.number(attribute.bytes, at: ObservedSocket.acknowledged)
                received = ObservedSocket.number(attribute.bytes, at: ObservedSocket.received)
            default: break
            }
        }
        self.cgroup = cgroup
        bytesSent = sent
        bytesReceived = received
    }

    /// Where `tcpi_bytes_acked` and `tcpi_bytes_received` lie in `struct tcp_info` of linux/tcp.h, which the C library's
    /// header of that name ends before.
    private static let acknowledged = 120
    private static let received = 128

    private static func number(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> UInt64 {
        bytes.count >= offset + 8 ? bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self) : 0
    }
}

extension SocketDiagnostics {
    /// The TCP sockets in the given states, with their owners.
    mutating func observedSockets(_ family: IPAddress.Family, states: [UInt8]) throws -> [ObservedSocket] {
        var request = inet_diag_req_v2()
        request.sdiag_family = RouteMessages.family(family)
        request.sdiag_protocol = UInt8(IPPROTO_TCP)
        request.idiag_states = states.reduce(0) { $0 | 1 << UInt32($1) }
        request.idiag_ext = 1 << UInt8(INET_DIAG_INFO - 1)
        var message = NetlinkMessage(type: UInt16(SOCK_DIAG_BY_FAMILY), flags: 0)
        message.append(fixed: request)
        var sockets: [ObservedSocket] = []
        do {
            try socket.dump(message) { reply in
                if let found = ObservedSocket(reply.payload) { sockets.append(found) }
            }
        } catch let failure as NetlinkFailure where failure.code == EINTR {
            // What was listed is still true of each socket listed.
        } catch let failure as NetlinkFailure {
            throw TrammelError.kernel("list TCP sockets", errno: failure.code, token: "sock-diag")
        }
        return sockets
    }

    /// The one socket that has these two ends; nil where there is none (any more), or its protocol has no sockets.
    mutating func socket(_ transport: UInt8, _ local: IPEndpoint, _ remote: IPEndpoint) throws -> ObservedSocket? {
        guard transport == UInt8(IPPROTO_TCP) || transport == UInt8(IPPROTO_UDP) else { return nil }
        var request = inet_diag_req_v2()
        request.sdiag_family = RouteMessages.family(local.address.family)
        request.sdiag_protocol = transport
        request.idiag_states = .max
        TCPSocketInfo.identify(local, remote, cookie: .max, in: &request.id)
        var message = NetlinkMessage(type: UInt16(SOCK_DIAG_BY_FAMILY), flags: 0)
        message.append(fixed: request)
        var found: ObservedSocket?
        do {
            try socket.request(message) { found = ObservedSocket($0.payload) }
        } catch let failure as NetlinkFailure where failure.code == ENOENT {
            return nil
        } catch let failure as NetlinkFailure {
            throw TrammelError.kernel("look for a socket", errno: failure.code, token: "sock-diag")
        }
        return found
    }
}

extension AgentCgroup {
    /// The cgroups whose sockets the rules take for the agent's: the one they name and those below it.
    var family: Set<UInt64> {
        var found = former.union([reference.id])
        var waiting = [mount + reference.path]
        while let directory = waiting.popLast() {
            for name in FileNames.list(in: directory) {
                var status = stat()
                let path = "\(directory)/\(name)"
                guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { continue }
                found.insert(UInt64(status.st_ino))
                waiting.append(path)
            }
        }
        return found
    }
}
