import CTrammelLinux
import Glibc
import Synchronization
import TrammelCore

/// Tells the service manager that started the agent how it is with it (sd_notify(3)): units that come after the agent wait
/// until it has taken up the workloads that it knows.
enum ServiceNotification {
    /// Whether another process is the service's main one still, and the only one that the manager listens to.
    static let isSilent = Atomic<Bool>(false)

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

    /// Another process of the service is its main one from now on.
    static func mainProcess(is pid: Int32) { send("MAINPID=\(pid)") }

    /// It is being replaced by another process of its own, until `ready` is said.
    static func reloading() { send("RELOADING=1\nMONOTONIC_USEC=\(MonotonicTime.now().nanoseconds / 1000)") }

    /// Returns when the manager has done everything that it was told before (`BARRIER=1`), or after a while.
    static func settle(milliseconds: CInt) {
        var ends: [CInt] = [-1, -1]
        let kind = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard isWanted, socketpair(AF_UNIX, kind, 0, &ends) == 0 else { return }
        defer { close(ends[0]) }
        let isTold = send("BARRIER=1", with: [ends[1]])
        close(ends[1])
        // The manager closes the other end when it comes to it.
        var waiting = pollfd(fd: ends[0], events: 0, revents: 0)
        if isTold { poll(&waiting, 1, milliseconds) }
    }

    /// - Parameters:
    ///   - waits: for a manager that has no room for more at the moment; it may not come to know else.
    ///   - descriptors: passed beside it, at most `TRAMMEL_MOST_DESCRIPTORS`.
    /// - Returns: whether it was sent; not where no manager asked to be told.
    @discardableResult
    static func send(_ state: String, with descriptors: [CInt] = [], waits: Bool = true) -> Bool {
        guard !isSilent.load(ordering: .relaxed), let name = getenv("NOTIFY_SOCKET").map({ String(cString: $0) }),
            "/@".contains(name.prefix(1))
        else {
            return false
        }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(name.utf8)
        // An abstract name begins with a zero byte.
        if bytes.first == UInt8(ascii: "@") { bytes[0] = 0 }
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return false }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let kind = SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | (waits ? 0 : SOCK_NONBLOCK.rawValue)
        let descriptor = socket(AF_UNIX, CInt(kind), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        let length = MemoryLayout<sa_family_t>.size + bytes.count
        let text = Array(state.utf8)
        return trammel_send_descriptors(
            descriptor, text, text.count, descriptors, descriptors.count, &address, UInt32(length)) == 0
    }
}
