import CNetfilter
import Glibc
import Synchronization
import TrammelCore

/// Why a netlink request failed: the kernel's error code, and in a batch which message it was about.
struct NetlinkFailure: Error, Equatable {
    let code: CInt
    /// The place of the refused message in its batch; nil when the request as a whole failed.
    var message: Int? = nil
}

/// A message of the kernel's answer; valid only inside the closure that receives it.
struct NetlinkReply {
    /// Where libraries that parse whole messages want to begin.
    let header: UnsafePointer<nlmsghdr>
    let payload: UnsafeRawBufferPointer
}

/// A netlink socket, which belongs to the network namespace that the calling thread was in when it was opened and
/// keeps speaking to that one wherever it is used. Closed with the value.
///
/// Unchecked: the handle is reached through this one value only, and every use of it is mutating.
struct NetlinkSocket: ~Copyable, @unchecked Sendable {
    private let handle: OpaquePointer
    private let closesLate: Bool
    private var sequence: UInt32 = 0
    private var buffer: [UInt8]

    /// - Parameters:
    ///   - family: `NETLINK_NETFILTER`, `NETLINK_ROUTE`, `NETLINK_SOCK_DIAG`.
    ///   - closesAtOnce: for one that something goes with. Another of netfilter's is closed in a moment by another thread,
    ///     for that may take long (see `LateClosing`).
    init(family: CInt, closesAtOnce: Bool = false) throws {
        self.init(
            handle: try NetlinkSocket.open(family), closesLate: family == NETLINK_NETFILTER && !closesAtOnce)
    }

    /// Takes over a bound one of another process's. What that may have left unread goes by: answers are told apart by
    /// their numbers.
    init(adopting descriptor: CInt) throws {
        guard let handle = mnl_socket_fdopen(descriptor) else {
            Glibc.close(descriptor)
            throw TrammelError.kernel("take over a netlink socket", errno: errno, token: "netlink")
        }
        self.init(handle: handle, closesLate: false)
        // Above whatever the other has used.
        sequence = UInt32.random(in: 1 << 20..<1 << 30)
    }

    private init(handle: OpaquePointer, closesLate: Bool) {
        self.handle = handle
        self.closesLate = closesLate
        buffer = NetlinkSocket.newBuffer
    }

    private static var newBuffer: [UInt8] { [UInt8](repeating: 0, count: 64 * 1024) }

    /// Gives the memory for answers back until the next exchange: for sockets that are held long and used seldom.
    mutating func rest() { buffer = [] }

    private static func open(_ family: CInt) throws -> OpaquePointer {
        guard let handle = mnl_socket_open2(family, CInt(SOCK_CLOEXEC.rawValue)) else {
            throw TrammelError.kernel("open a netlink socket", errno: errno, token: "netlink")
        }
        guard mnl_socket_bind(handle, 0, 0) == 0 else {
            let code = errno
            mnl_socket_close(handle)
            throw TrammelError.kernel("bind a netlink socket", errno: code, token: "netlink")
        }
        // The kernel answers while it handles the request, so a wait this long is a fault and must not hang an attach.
        var patience = timeval(tv_sec: 5, tv_usec: 0)
        let length = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(mnl_socket_get_fd(handle), SOL_SOCKET, SO_RCVTIMEO, &patience, length)
        return handle
    }

    deinit {
        guard closesLate, LateClosing.take(handle) else {
            mnl_socket_close(handle)
            return
        }
    }

    var descriptor: CInt { mnl_socket_get_fd(handle) }

    /// Sends one request and waits for the kernel's verdict. `each` sees whatever data comes before it.
    mutating func request(
        _ message: NetlinkMessage, each: (NetlinkReply) throws -> Void = { _ in }
    ) throws {
        var message = message
        message.addFlags(NLM_F_REQUEST | NLM_F_ACK)
        try exchange(message, each)
    }

    /// Sends a dump request and hands every message of the answer to `each`. A dump that the kernel interrupted,
    /// because the table changed meanwhile, is reported as `EINTR`.
    mutating func dump(_ message: NetlinkMessage, each: (NetlinkReply) throws -> Void) throws {
        var message = message
        message.addFlags(NLM_F_REQUEST | NLM_F_DUMP)
        try exchange(message, each)
    }

    private mutating func exchange(
        _ message: NetlinkMessage, _ each: (NetlinkReply) throws -> Void
    ) throws {
        var message = message
        sequence += 1
        message.setSequence(sequence)
        try send(message.bytes)
        var interrupted = false
        while true {
            let count = try receive(flags: 0)
            let done = try buffer.withUnsafeBytes { bytes in
                try NetlinkSocket.walk(UnsafeRawBufferPointer(rebasing: bytes.prefix(count))) { reply in
                    let header = reply.header.pointee
                    guard header.nlmsg_seq == sequence else { return false }
                    if header.nlmsg_flags & UInt16(NLM_F_DUMP_INTR) != 0 { interrupted = true }
                    switch Int32(header.nlmsg_type) {
                    case NLMSG_DONE:
                        if let (code, _) = reply.payload.leading(Int32.self), code < 0 {
                            throw NetlinkFailure(code: -code)
                        }
                        return true
                    case NLMSG_ERROR:
                        guard let (code, _) = reply.payload.leading(Int32.self) else {
                            throw NetlinkFailure(code: EBADMSG)
                        }
                        if code != 0 { throw NetlinkFailure(code: -code) }
                        return true
                    default:
                        try each(reply)
                        return false
                    }
                }
            }
            if done { break }
        }
        if interrupted { throw NetlinkFailure(code: EINTR) }
    }

    /// Sends netfilter messages as one transaction: all of them or none.
    ///
    /// - Parameter commit: false makes the kernel judge every message and then forget them.
    /// - Throws: `NetlinkFailure` with the place of the first message refused.
    mutating func transact(_ messages: [NetlinkMessage], commit: Bool = true) throws {
        guard !messages.isEmpty else { return }
        OwnSockets.note(mnl_socket_get_portid(handle))
        let size = messages.reduce(64) { $0 + $1.bytes.count }
        var limit = CInt(clamping: size + 4096)
        // The whole batch has to fit the send buffer; FORCE needs CAP_NET_ADMIN, as the batch itself does.
        setsockopt(descriptor, SOL_SOCKET, SO_SNDBUFFORCE, &limit, socklen_t(MemoryLayout<CInt>.size))

        var batch: [UInt8] = []
        batch.reserveCapacity(size)
        let first = sequence + 1
        batch += control(NFNL_MSG_BATCH_BEGIN)
        for (index, message) in messages.enumerated() {
            var message = message
            sequence += 1
            message.setSequence(sequence)
            message.addFlags(NLM_F_REQUEST)
            if index == messages.count - 1 { message.addFlags(NLM_F_ACK) }
            batch += message.bytes
        }
        // A batch without its end is what `nft --check` sends: judged, then undone.
        if commit { batch += control(NFNL_MSG_BATCH_END) }
        try send(batch)

        var failure: NetlinkFailure?
        var acknowledged = false
        while let count = try receiveWaiting() {
            try buffer.withUnsafeBytes { bytes in
                _ = try NetlinkSocket.walk(UnsafeRawBufferPointer(rebasing: bytes.prefix(count))) { reply in
                    let header = reply.header.pointee
                    guard Int32(header.nlmsg_type) == NLMSG_ERROR, let (code, _) = reply.payload.leading(Int32.self)
                    else {
                        return false
                    }
                    if code == 0 { acknowledged = true }
                    if code != 0, failure == nil {
                        let place = Int(header.nlmsg_seq) - Int(first) - 1
                        failure = NetlinkFailure(
                            code: -code, message: messages.indices.contains(place) ? place : nil)
                    }
                    return false
                }
            }
        }
        if let failure { throw failure }
        if !acknowledged { throw NetlinkFailure(code: EBADMSG) }
    }

    private mutating func control(_ type: Int32) -> [UInt8] {
        sequence += 1
        var message = NetlinkMessage(type: UInt16(type), flags: UInt16(NLM_F_REQUEST))
        message.append(
            fixed: nfgenmsg(
                nfgen_family: UInt8(AF_UNSPEC), version: UInt8(NFNETLINK_V0),
                res_id: UInt16(NFNL_SUBSYS_NFTABLES).bigEndian))
        message.setSequence(sequence)
        return message.bytes
    }

    private func send(_ bytes: [UInt8]) throws {
        let sent = bytes.withUnsafeBytes { mnl_socket_sendto(handle, $0.baseAddress, $0.count) }
        guard sent == bytes.count else { throw NetlinkFailure(code: errno) }
    }

    private mutating func receive(flags: CInt) throws -> Int {
        let fd = descriptor
        if buffer.isEmpty { buffer = NetlinkSocket.newBuffer }
        while true {
            let count = buffer.withUnsafeMutableBytes { recv(fd, $0.baseAddress, $0.count, flags) }
            if count >= 0 { return count }
            if errno != EINTR { throw NetlinkFailure(code: errno == EAGAIN ? ETIMEDOUT : errno) }
        }
    }

    /// The next datagram that is already there; nil when there is none.
    private mutating func receiveWaiting() throws -> Int? {
        do {
            return try receive(flags: CInt(MSG_DONTWAIT))
        } catch let failure as NetlinkFailure where failure.code == ETIMEDOUT {
            return nil
        }
    }

    /// Walks the messages of one datagram until `body` answers true; says whether it did.
    static func walk(
        _ bytes: UnsafeRawBufferPointer, _ body: (NetlinkReply) throws -> Bool
    ) throws -> Bool {
        var rest = bytes
        while let (header, _) = rest.leading(nlmsghdr.self), let start = rest.baseAddress {
            let length = Int(header.nlmsg_len)
            guard length >= NetlinkMessage.headerLength, length <= rest.count else {
                throw NetlinkFailure(code: EBADMSG)
            }
            // Messages begin at multiples of four in a buffer that is aligned to more.
            let reply = NetlinkReply(
                header: start.assumingMemoryBound(to: nlmsghdr.self),
                payload: UnsafeRawBufferPointer(rebasing: rest[NetlinkMessage.headerLength..<length]))
            if try body(reply) { return true }
            rest = UnsafeRawBufferPointer(rebasing: rest[Swift.min((length + 3) & ~3, rest.count)...])
        }
        return false
    }
}

/// The netlink sockets by which this process has changed something lately: events bear their numbers, and process ids
/// tell nothing across process namespaces.
enum OwnSockets {
    private static let latest = Mutex<[UInt32]>([])
    private static let many = 256

    static func note(_ number: UInt32) {
        latest.withLock { latest in
            latest.removeAll { $0 == number }
            latest.append(number)
            if latest.count > many { latest.removeFirst() }
        }
    }

    static func contains(_ number: UInt32) -> Bool { latest.withLock { $0.contains(number) } }
}
