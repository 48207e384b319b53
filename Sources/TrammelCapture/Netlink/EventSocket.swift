import CNetfilter
import Glibc
import TrammelCore

/// What netlink tells unasked of every network namespace that the one it was opened in has a number for, on one socket
/// (NETLINK_LISTEN_ALL_NSID): no descriptor in any of them, so none is kept alive by being watched.
struct EventSocket: ~Copyable {
    enum Receipt: Equatable {
        case nothing, events
        /// There were more than fit, and some are lost.
        case overflow
    }

    private let socket: Descriptor
    private var buffer = [UInt8](repeating: 0, count: 16 * 1024)

    /// - Parameter groups: multicast groups of the family.
    /// - Throws: `forbidden` without CAP_NET_BROADCAST.
    init(family: CInt, groups: [UInt32]) throws {
        let kind = CInt(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let number = Glibc.socket(AF_NETLINK, kind, family)
        guard number >= 0 else {
            throw TrammelError.kernel("open a netlink socket", errno: errno, token: "netlink")
        }
        let opened = Descriptor(owning: number)
        // One without a number is passed over where the kernel itself is the cause.
        var own = sockaddr_nl()
        own.nl_family = sa_family_t(AF_NETLINK)
        let bound = withUnsafePointer(to: &own) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.bind(number, $0, socklen_t(MemoryLayout<sockaddr_nl>.size))
            }
        }
        guard bound == 0 else { throw TrammelError.kernel("bind a netlink socket", errno: errno, token: "netlink") }
        var space: CInt = 1 << 20
        setsockopt(number, SOL_SOCKET, SO_RCVBUFFORCE, &space, socklen_t(MemoryLayout<CInt>.size))
        try EventSocket.set(number, NETLINK_LISTEN_ALL_NSID, 1)
        for group in groups { try EventSocket.set(number, NETLINK_ADD_MEMBERSHIP, group) }
        socket = opened
    }

    var descriptor: CInt { socket.number }

    private static func set(_ socket: CInt, _ option: CInt, _ value: UInt32) throws {
        var value = value
        guard setsockopt(socket, SOL_NETLINK, option, &value, socklen_t(MemoryLayout<UInt32>.size)) == 0 else {
            throw TrammelError.kernel(
                "listen to the events of network namespaces", errno: errno, token: "netlink",
                hint: errno == EPERM ? "give the agent CAP_NET_BROADCAST" : nil)
        }
    }

    /// Hands on what the kernel has sent since the last time, with the number of the namespace it is of, nil for the
    /// socket's own. Waits for nothing.
    mutating func receive(_ each: (Int32?, NetlinkReply) -> Void) -> Receipt {
        var receipt = Receipt.nothing
        while true {
            let fd = socket.number
            var control = [UInt8](repeating: 0, count: 64)
            var (sender, count, size) = (sockaddr_nl(), 0, 0)
            buffer.withUnsafeMutableBytes { buffer in
                control.withUnsafeMutableBytes { control in
                    withUnsafeMutablePointer(to: &sender) { sender in
                        var part = iovec(iov_base: buffer.baseAddress, iov_len: buffer.count)
                        withUnsafeMutablePointer(to: &part) { part in
                            var header = msghdr()
                            header.msg_name = UnsafeMutableRawPointer(sender)
                            header.msg_namelen = socklen_t(MemoryLayout<sockaddr_nl>.size)
                            header.msg_iov = part
                            header.msg_iovlen = 1
                            header.msg_control = control.baseAddress
                            header.msg_controllen = control.count
                            count = recvmsg(fd, &header, 0)
                            size = Int(header.msg_controllen)
                        }
                    }
                }
            }
            guard count >= 0 else {
                if errno == EINTR { continue }
                if errno == ENOBUFS {
                    receipt = .overflow
                    continue
                }
                return receipt
            }
            // From the kernel, not from another process.
            guard sender.nl_pid == 0 else { continue }
            if receipt == .nothing { receipt = .events }
            let number = EventSocket.namespace(in: control[..<min(size, control.count)])
            buffer.withUnsafeBytes { bytes in
                _ = try? NetlinkSocket.walk(UnsafeRawBufferPointer(rebasing: bytes.prefix(count))) { reply in
                    each(number, reply)
                    return false
                }
            }
        }
    }

    /// The one control message that the kernel adds (cmsg(3)): length, level, type, and the number.
    private static func namespace(in control: ArraySlice<UInt8>) -> Int32? {
        control.withUnsafeBytes { bytes in
            let header = MemoryLayout<cmsghdr>.size
            guard bytes.count >= header + 4 else { return nil }
            let level = bytes.loadUnaligned(fromByteOffset: 8, as: CInt.self)
            let type = bytes.loadUnaligned(fromByteOffset: 12, as: CInt.self)
            guard level == SOL_NETLINK, type == NETLINK_LISTEN_ALL_NSID else { return nil }
            return bytes.loadUnaligned(fromByteOffset: header, as: Int32.self)
        }
    }
}
