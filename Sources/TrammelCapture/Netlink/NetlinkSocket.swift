import CNetfilter
import Glibc
import TrammelCore

/// A netlink socket, closed when it goes. It speaks to the network namespace that the thread was in when it was opened.
struct NetlinkSocket: ~Copyable {
    private let socket: OpaquePointer
    private let portID: UInt32

    /// - Parameter bus: `NETLINK_NETFILTER`, `NETLINK_ROUTE` or `NETLINK_SOCK_DIAG`.
    init(_ bus: Int32) throws {
        guard let socket = mnl_socket_open2(bus, Int32(SOCK_CLOEXEC.rawValue)) else {
            throw KernelError.make("open a netlink socket", errno)
        }
        guard mnl_socket_bind(socket, 0, NetlinkSocket.automaticPort) >= 0 else {
            let number = errno
            mnl_socket_close(socket)
            throw KernelError.make("bind a netlink socket", number)
        }
        self.socket = socket
        portID = mnl_socket_get_portid(socket)
    }

    deinit { mnl_socket_close(socket) }

    /// MNL_SOCKET_AUTOPID
    private static let automaticPort: pid_t = 0

    /// Sends whole messages and reads answers until each of `acknowledged` has been acknowledged or refused.
    ///
    /// - Returns: the refusals, by sequence number; empty when the kernel took everything.
    func transact(_ messages: [UInt8], acknowledged: Set<UInt32>) throws -> [UInt32: Int32] {
        try send(messages)
        var waiting = acknowledged
        var refusals: [UInt32: Int32] = [:]
        while !waiting.isEmpty {
            try receive { header in
                guard header.pointee.nlmsg_type == UInt16(NLMSG_ERROR) else { return true }
                let code = mnl_nlmsg_get_payload(header)!.loadUnaligned(as: Int32.self)
                waiting.remove(header.pointee.nlmsg_seq)
                if code != 0 { refusals[header.pointee.nlmsg_seq] = -code }
                return true
            }
        }
        return refusals
    }

    /// Sends a dump request and calls `body` with every message of the answer.
    func dump(_ request: [UInt8], _ body: (UnsafePointer<nlmsghdr>) -> Void) throws {
        try send(request)
        var isOver = false
        while !isOver {
            try receive { header in
                switch header.pointee.nlmsg_type {
                case UInt16(NLMSG_DONE):
                    isOver = true
                case UInt16(NLMSG_ERROR):
                    isOver = true
                    let code = mnl_nlmsg_get_payload(header)!.loadUnaligned(as: Int32.self)
                    if code != 0 { throw KernelError.make("read from the kernel", -code) }
                default:
                    body(header)
                    if header.pointee.nlmsg_flags & UInt16(NLM_F_MULTI) == 0 { isOver = true }
                }
                return !isOver
            }
        }
    }

    private func send(_ messages: [UInt8]) throws {
        let sent = messages.withUnsafeBytes { mnl_socket_sendto(socket, $0.baseAddress, $0.count) }
        guard sent == messages.count else { throw KernelError.make("send to netlink", errno) }
    }

    private func receive(_ body: (UnsafePointer<nlmsghdr>) throws -> Bool) throws {
        try withUnsafeTemporaryAllocation(byteCount: 64 * 1024, alignment: 8) { buffer in
            let count = mnl_socket_recvfrom(socket, buffer.baseAddress, buffer.count)
            guard count >= 0 else { throw KernelError.make("receive from netlink", errno) }
            var left = Int32(count)
            var header = UnsafePointer<nlmsghdr>(buffer.baseAddress!.assumingMemoryBound(to: nlmsghdr.self))
            while mnl_nlmsg_ok(header, left) {
                if try !body(header) { return }
                var rest = left
                header = UnsafePointer(mnl_nlmsg_next(header, &rest))
                left = rest
            }
        }
    }
}
