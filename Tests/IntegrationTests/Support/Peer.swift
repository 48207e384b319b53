import Glibc
import TrammelCore

/// One end of a TCP connection that says and hears exact bytes, by blocking calls that give up after a deadline.
///
/// `@unchecked Sendable`: used by one thread at a time, the test's or the server script's that owns it.
final class Peer: @unchecked Sendable {
    private(set) var descriptor: CInt
    /// Bytes that came after what was asked for.
    private var ahead: [UInt8] = []

    enum Failure: Error, Equatable, CustomStringConvertible {
        /// The other side sent RST.
        case reset
        /// The other side ended before what was waited for had come; what did come.
        case ended(String)
        /// Nothing came for the length of the deadline; what did come before.
        case timedOut(String)
        case system(call: String, CInt)

        var description: String {
            switch self {
            case .reset: "reset by the other side"
            case .ended(let text): "the other side ended after \(Failure.brief(text))"
            case .timedOut(let text): "nothing more came in time after \(Failure.brief(text))"
            case .system(let call, let code): "\(call): \(String(cString: strerror(code)))"
            }
        }

        /// Megabytes may have come.
        private static func brief(_ text: String) -> String {
            "\(text.utf8.count) bytes: \(text.prefix(200).debugDescription)"
        }
    }

    init(descriptor: CInt, patience: Int = 10) {
        self.descriptor = descriptor
        setPatience(patience)
        var one: CInt = 1
        setsockopt(descriptor, CInt(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<CInt>.size))
    }

    /// - Parameter window: bytes of the receive buffer; small for a slow reader.
    convenience init(connectingTo port: UInt16, window: CInt? = nil) throws {
        let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw Failure.system(call: "socket", errno) }
        if var window {
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &window, socklen_t(MemoryLayout<CInt>.size))
        }
        self.init(descriptor: descriptor)
        let result = withLoopback("127.0.0.1", port) { Glibc.connect(descriptor, $0, $1) }
        guard result == 0 else { throw Failure.system(call: "connect", errno) }
    }

    deinit { close() }

    func setPatience(_ seconds: Int) {
        var time = timeval(tv_sec: seconds, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
    }

    // MARK: Saying

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes { try send($0) } }

    func send(_ bytes: UnsafeRawBufferPointer) throws {
        var sent = 0
        while sent < bytes.count {
            let count = Glibc.send(descriptor, bytes.baseAddress! + sent, bytes.count - sent, CInt(MSG_NOSIGNAL))
            if count < 0 {
                switch errno {
                case EINTR: continue
                case ECONNRESET, EPIPE: throw Failure.reset
                case EAGAIN: throw Failure.timedOut("\(sent) bytes sent")
                default: throw Failure.system(call: "send", errno)
                }
            }
            sent += count
        }
    }

    /// Sends FIN and goes on reading.
    func finish() { shutdown(descriptor, CInt(SHUT_WR)) }

    /// Sends RST.
    func reset() {
        var now = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, socklen_t(MemoryLayout<linger>.size))
        close()
    }

    func close() {
        if descriptor >= 0 { _ = Glibc.close(descriptor) }
        descriptor = -1
    }

    // MARK: Hearing

    /// The next bytes, as many as there are; empty at the end.
    func receiveSome(atMost limit: Int = 65_536) throws -> [UInt8] {
        if !ahead.isEmpty {
            let bytes = Array(ahead.prefix(limit))
            ahead.removeFirst(bytes.count)
            return bytes
        }
        while true {
            var failure: CInt = 0
            let bytes = [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in
                let received = recv(descriptor, buffer.baseAddress, limit, 0)
                failure = received < 0 ? errno : 0
                count = max(received, 0)
            }
            switch failure {
            case 0: return bytes
            case EINTR: continue
            case ECONNRESET: throw Failure.reset
            case EAGAIN: throw Failure.timedOut("")
            default: throw Failure.system(call: "recv", failure)
            }
        }
    }

    func receive(_ count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            let more = try receiving(bytes) { try receiveSome() }
            guard !more.isEmpty else { throw Failure.ended(String(decoding: bytes, as: UTF8.self)) }
            bytes += more
        }
        ahead = Array(bytes[count...]) + ahead
        return Array(bytes[..<count])
    }

    /// Everything up to `mark`, which is included.
    func receive(until mark: String) throws -> String {
        let mark = Array(mark.utf8)
        var bytes: [UInt8] = []
        var searched = 0
        while true {
            var at = searched
            while at + mark.count <= bytes.count {
                if bytes[at] == mark[0], bytes[at..<at + mark.count].elementsEqual(mark) {
                    ahead = Array(bytes[(at + mark.count)...]) + ahead
                    return String(decoding: bytes[..<(at + mark.count)], as: UTF8.self)
                }
                at += 1
            }
            searched = max(0, bytes.count - mark.count + 1)
            let more = try receiving(bytes) { try receiveSome() }
            guard !more.isEmpty else { throw Failure.ended(String(decoding: bytes, as: UTF8.self)) }
            bytes += more
        }
    }

    /// Everything up to the other side's FIN.
    func receiveToEnd() throws -> String {
        var bytes: [UInt8] = []
        while true {
            let more = try receiving(bytes) { try receiveSome() }
            if more.isEmpty { return String(decoding: bytes, as: UTF8.self) }
            bytes += more
        }
    }

    /// Whether the other side has ended, with FIN or RST, and had nothing more to say.
    func isAtEnd() throws -> Bool {
        do {
            let more = try receiveSome()
            ahead = more + ahead
            return more.isEmpty
        } catch Failure.reset {
            return true
        }
    }

    /// How the other side ended: true for RST. What it still said is thrown away.
    func endsByReset() throws -> Bool {
        do {
            while !(try receiveSome().isEmpty) {}
            return false
        } catch Failure.reset {
            return true
        }
    }

    private func receiving<R>(_ soFar: [UInt8], _ body: () throws -> R) throws -> R {
        do {
            return try body()
        } catch Failure.timedOut {
            throw Failure.timedOut(String(decoding: soFar, as: UTF8.self))
        }
    }
}

/// Calls `body` with a sockaddr of 127/8.
func withLoopback<R>(_ address: String, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
    var socketAddress = sockaddr_in()
    socketAddress.sin_family = sa_family_t(AF_INET)
    socketAddress.sin_port = port.bigEndian
    inet_pton(AF_INET, address, &socketAddress.sin_addr)
    return withUnsafePointer(to: socketAddress) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
}

/// A listening socket on a loopback address, and the port that it got.
/// - Parameter window: bytes of the receive buffers of what is accepted.
func listenOnLoopback(
    _ address: String = "127.0.0.1", port: UInt16 = 0, backlog: CInt = 4096, window: CInt? = nil
) throws -> (CInt, UInt16) {
    let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { throw Peer.Failure.system(call: "socket", errno) }
    var one: CInt = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<CInt>.size))
    if var window {
        setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &window, socklen_t(MemoryLayout<CInt>.size))
    }
    guard withLoopback(address, port, { bind(descriptor, $0, $1) }) == 0, listen(descriptor, backlog) == 0 else {
        throw Peer.Failure.system(call: "bind or listen", errno)
    }
    return (descriptor, localPort(of: descriptor))
}

/// The port of a socket's own end.
func localPort(of descriptor: CInt) -> UInt16 {
    var address = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    withUnsafeMutablePointer(to: &address) { pointer in
        _ = pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
    }
    return UInt16(bigEndian: address.sin_port)
}
