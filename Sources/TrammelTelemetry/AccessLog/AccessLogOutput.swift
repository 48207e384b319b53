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
    /// What was written last ended within a line, as when a disk is full: the next one begins with a line feed.
    private var isWithinLine = false
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
                let reason = TrustedPath.doubt(aboutLink: path)?.why ?? String(cString: strerror(errno))
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

    /// Never waits: for a FIFO whose reader is not there yet, least of all. A FIFO is opened for both ways, so that what
    /// is in it outlives a reader that is started again, and nobody is told that the pipe is broken.
    private static func open(_ path: String) -> CInt {
        let common = O_CLOEXEC | O_NOCTTY | O_NONBLOCK
        let descriptor = openFile(path, O_WRONLY | O_APPEND | O_CREAT | common, 0o640)
        if descriptor < 0 { return errno == ENXIO ? openFile(path, O_RDWR | common, 0) : descriptor }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFIFO else { return descriptor }
        let both = openFile(path, O_RDWR | common, 0)
        guard both >= 0 else { return descriptor }
        _ = close(descriptor)
        return both
    }

    private mutating func learnIdentity() {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return }
        device = status.st_dev
        inode = status.st_ino
        mayBlock = status.st_mode & S_IFMT != S_IFREG
        isWithinLine = !mayBlock && status.st_size > 0 && Self.endsWithinLine(descriptor)
    }

    /// As one does whose writer was killed. The descriptor itself is for writing only.
    private static func endsWithinLine(_ descriptor: CInt) -> Bool {
        let reader = openFile("/proc/self/fd/\(descriptor)", O_RDONLY | O_CLOEXEC, 0)
        guard reader >= 0 else { return false }
        defer { _ = close(reader) }
        var last: UInt8 = 0
        return lseek(reader, -1, SEEK_END) >= 0 && read(reader, &last, 1) == 1 && last != UInt8(ascii: "\n")
    }

    /// Opens the path anew when it no longer leads to the open file, as after a rotation. Looks at most once a second.
    /// - Returns: what `reopen` does, or nil when nothing had to be done.
    mutating func followRotation(now: MonotonicTime) -> Reopening? {
        guard case .file(let path) = destination, now.nanoseconds(since: lastCheck) >= 1_000_000_000 else { return nil }
        lastCheck = now
        var status = stat()
        if stat(path, &status) == 0, status.st_dev == device, status.st_ino == inode { return nil }
        return reopen()
    }

    enum Reopening: Equatable {
        case done
        /// The open file is kept, so that nothing is lost.
        case failed(errno: CInt)
    }

    /// Opens the path anew.
    mutating func reopen() -> Reopening {
        guard case .file(let path) = destination else { return .done }
        let newer = Self.open(path)
        guard newer >= 0 else { return .failed(errno: errno) }
        _ = close(descriptor)
        descriptor = newer
        learnIdentity()
        return .done
    }

    /// What people know it by.
    var name: String {
        switch destination {
        case .standardOutput: "standard output"
        case .file(let path): path
        }
    }

    /// Writes everything, in whole lines where the other end may stall.
    /// - Parameter giveUp: asked about five times a second while the other end takes nothing.
    /// - Returns: how many bytes at the end could not be written, for which errno is the reason.
    mutating func write(_ bytes: UnsafeRawBufferPointer, giveUp: () -> Bool) -> Int {
        if isWithinLine {
            var lineFeed = UInt8(ascii: "\n")
            guard writeBytes(descriptor, &lineFeed, 1) == 1 else { return bytes.count }
            isWithinLine = false
        }
        let unwritten = writeAll(bytes, giveUp: giveUp)
        let written = bytes.count - unwritten
        if unwritten > 0, written > 0 { isWithinLine = bytes[written - 1] != UInt8(ascii: "\n") }
        return unwritten
    }

    private func writeAll(_ bytes: UnsafeRawBufferPointer, giveUp: () -> Bool) -> Int {
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
private func openFile(_ path: String, _ flags: CInt, _ mode: mode_t) -> CInt {
    TrustedPath.open(path, flags, mode: mode)
}
private func writeBytes(_ descriptor: CInt, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
    write(descriptor, bytes, count)
}
