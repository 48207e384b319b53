import CNetfilter
import Glibc
import TrammelCore

/// The event stream of one namespace's conntrack table: what begins, and what ends with how much has passed.
///
/// Changes in between are not asked for: they would be five messages for each TCP connection, and tell nothing that
/// the accounting needs. It keeps no buffer of its own, for there is one of these for each namespace that is tracked.
/// Closed with the object, for it keeps its namespace alive.
final class ConntrackEventSocket: Sendable {
    enum Reading {
        /// Nothing is waiting.
        case empty
        /// The kernel had to leave events out: what is known has to be compared with the table.
        case lost
        /// So many bytes were read.
        case bytes(Int)
    }

    /// Never blocks when read.
    let descriptor: Descriptor

    /// So much may wait in the kernel, and after that events are lost: some 2,000 of them.
    static let room: CInt = 1 << 20

    /// Opened in the network namespace that the calling thread is in.
    init(room: CInt = ConntrackEventSocket.room) throws {
        let flags = CInt(SOCK_RAW.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let number = socket(AF_NETLINK, flags, CInt(NETLINK_NETFILTER))
        guard number >= 0 else { throw TrammelError.kernel("open a netlink socket", errno: errno, token: "netlink") }
        descriptor = Descriptor(owning: number)
        try? descriptor.set(SOL_SOCKET, SO_RCVBUFFORCE, room)
        var address = sockaddr_nl()
        address.nl_family = sa_family_t(AF_NETLINK)
        // The groups are numbered from 1, and each is one bit.
        address.nl_groups = [NFNLGRP_CONNTRACK_NEW, NFNLGRP_CONNTRACK_DESTROY].reduce(0) { $0 | 1 << ($1.rawValue - 1) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(number, $0, socklen_t(MemoryLayout<sockaddr_nl>.size))
            }
        }
        guard result == 0 else {
            throw TrammelError.kernel("listen to conntrack's events", errno: errno, token: "netlink")
        }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) -> Reading {
        while true {
            let count = recv(descriptor.number, buffer.baseAddress, buffer.count, 0)
            if count > 0 { return .bytes(count) }
            if count < 0, errno == EINTR { continue }
            return count < 0 && errno == ENOBUFS ? .lost : .empty
        }
    }
}
