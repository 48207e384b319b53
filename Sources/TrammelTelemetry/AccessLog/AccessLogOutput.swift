import TrammelCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Where the access log goes.
package enum AccessLogDestination: Hashable, Sendable {
    case standardOutput
    /// A file, made when it is not there (mode 0640), always appended to.
    case file(String)
}

/// The open end of the log. Belongs to the writer thread once that runs.
struct AccessLogOutput: ~Copyable {
    private let destination: AccessLogDestination
    private var descriptor: CInt
    /// Which file `descriptor` is, to notice that its path now leads to another.
    private var device: dev_t = 0
    private var inode: ino_t = 0
    /// A pipe, terminal or socket: its reader may stall, so it is written in pieces that cannot block.
    private var mayBlock = false
    private var lastCheck = MonotonicTime(nanoseconds: 0)

    /// - Throws: `TrammelError` when the file cannot be opened.
    init(_ destination: AccessLogDestination) throws {
        self.destination = destination
        switch destination {
        case .standardOutput:
            descriptor = STDOUT_FILENO
        case .file(let path):
            descriptor = Self.open(path)
            if descriptor < 0 {
                let reason = String(cString: strerror(errno))
                throw TrammelError(
                    .unavailable, code: "access_log_open_failed", "cannot open the access log \(path): \(reason)",
                    hint: "make its directory, or name another file in accessLog.path")
            }
        }
        learnIdentity()
    }

    deinit {
        if case .file = destination { _ = close(descriptor) }
    }

    private static func open(_ path: String) -> CInt {
        openFile(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0o640)
    }

    private mutating func learnIdentity() {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return }
        device = status.st_dev
        inode = status.st_ino
        mayBlock = status.st_mode & S_IFMT != S_IFREG
    }

    /// Opens the path anew when it no longer leads to the open file, as after a rotation. Looks at most once a second.
    mutating func followRotation(now: MonotonicTime) {
        guard case .file(let path) = destination, now.nanoseconds(since: lastCheck) >= 1_000_000_000 else { return }
        lastCheck = now
        var status = stat()
        if stat(path, &status) == 0, status.st_dev == device, status.st_ino == inode { return }
        reopen()
    }

    /// Opens the path anew. When that fails the open file is kept, so that nothing is lost.
    mutating func reopen() {
        guard case .file(let path) = destination else { return }
        let newer = Self.open(path)
        guard newer >= 0 else { return }
        _ = close(descriptor)
        descriptor = newer
        learnIdentity()
    }

    /// Writes everything, in whole lines where the other end may stall.
    /// - Parameter giveUp: asked about five times a second while the other end takes nothing.
    /// - Returns: how many bytes at the end could not be written.
    func write(_ bytes: UnsafeRawBufferPointer, giveUp: () -> Bool) -> Int {
        var rest = bytes
        while let base = rest.baseAddress, rest.count > 0 {
            var length = rest.count
            if mayBlock {
                length = Self.piece(of: rest)
                guard waitForRoom(giveUp) else { return rest.count }
            }
            let written = writeBytes(descriptor, base, length)
            if written > 0 {
                rest = UnsafeRawBufferPointer(rebasing: rest[written...])
            } else if written < 0, errno == EAGAIN {
                guard waitForRoom(giveUp) else { return rest.count }
            } else if written == 0 || errno != EINTR {
                return rest.count
            }
        }
        return 0
    }

    /// A pipe that polls as writable takes PIPE_BUF bytes without blocking: as many whole lines as fit in them.
    private static func piece(of bytes: UnsafeRawBufferPointer) -> Int {
        let most = min(bytes.count, 4096)
        if let lineEnd = bytes[..<most].lastIndex(of: UInt8(ascii: "\n")) { return lineEnd + 1 }
        return most
    }

    private func waitForRoom(_ giveUp: () -> Bool) -> Bool {
        while true {
            var interest = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            let ready = poll(&interest, 1, 200)
            if ready > 0 { return interest.revents & Int16(POLLOUT) != 0 }
            if ready < 0, errno != EINTR { return false }
            if giveUp() { return false }
        }
    }
}

/// The C functions, under names that the methods above do not hide.
private func openFile(_ path: String, _ flags: CInt, _ mode: mode_t) -> CInt { open(path, flags, mode) }
private func writeBytes(_ descriptor: CInt, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
    write(descriptor, bytes, count)
}
