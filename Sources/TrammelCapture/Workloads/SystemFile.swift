import CNetfilter
import Glibc
import TrammelCore

/// Whole small files of /proc and /sys, read and written in one call each as those file systems want it.
enum SystemFile {
    /// - Parameter folder: an open one that a relative path begins in.
    static func read(_ path: String, in folder: CInt = AT_FDCWD) throws -> String {
        let fd = openat(folder, path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { throw TrammelError.kernel("read \(path)", errno: errno, token: "file") }
        defer { close(fd) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16 * 1024)
        while true {
            let count = Glibc.read(fd, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw TrammelError.kernel("read \(path)", errno: errno, token: "file") }
            if count == 0 { break }
            bytes += chunk.prefix(count)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    static func write(_ text: String, to path: String) throws {
        let fd = open(path, O_WRONLY | O_CLOEXEC)
        guard fd >= 0 else { throw TrammelError.kernel("write \(path)", errno: errno, token: "file") }
        defer { close(fd) }
        let bytes = Array(text.utf8)
        guard Glibc.write(fd, bytes, bytes.count) == bytes.count else {
            throw TrammelError.kernel("write \(text) to \(path)", errno: errno, token: "file")
        }
    }
}
