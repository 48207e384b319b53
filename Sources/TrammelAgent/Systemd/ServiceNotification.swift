import Glibc

/// Tells the service manager that started the agent how it is with it (sd_notify(3)): units that come after the agent wait
/// until it has taken up the workloads that it knows.
enum ServiceNotification {
    static func ready() { send("READY=1") }
    static func stopping() { send("STOPPING=1") }
    /// It is alive; to be said more often than every `watchdog` nanoseconds. Does not block.
    static func alive() { send("WATCHDOG=1", waits: false) }
    /// One line, for `systemctl status`.
    static func status(_ text: String) { send("STATUS=\(text)", waits: false) }

    /// Whether a manager asked to be told.
    static var isWanted: Bool { getenv("NOTIFY_SOCKET") != nil }

    /// Nanoseconds without a word of life after which the manager ends the agent (sd_watchdog_enabled(3)); nil where it
    /// never does.
    static var watchdog: Int64? {
        func number(_ name: String) -> Int64? { getenv(name).flatMap { Int64(String(cString: $0)) } }
        guard let microseconds = number("WATCHDOG_USEC"), (1...Int64.max / 1000).contains(microseconds),
            number("WATCHDOG_PID").map({ $0 == Int64(getpid()) }) ?? true
        else { return nil }
        return microseconds * 1000
    }

    /// Nothing where no manager asked to be told.
    /// - Parameter waits: for a manager that has no room for more at the moment; it may not come to know else.
    private static func send(_ state: String, waits: Bool = true) {
        guard let name = getenv("NOTIFY_SOCKET").map({ String(cString: $0) }), "/@".contains(name.prefix(1)) else {
            return
        }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(name.utf8)
        // An abstract name begins with a zero byte.
        if bytes.first == UInt8(ascii: "@") { bytes[0] = 0 }
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let kind = SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | (waits ? 0 : SOCK_NONBLOCK.rawValue)
        let descriptor = socket(AF_UNIX, CInt(kind), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let length = MemoryLayout<sa_family_t>.size + bytes.count
        let text = Array(state.utf8)
        withUnsafePointer(to: &address) {
            // The kernel reads a sockaddr of the length given; sockaddr_un is one.
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = sendto(descriptor, text, text.count, CInt(MSG_NOSIGNAL), $0, socklen_t(length))
            }
        }
    }
}
