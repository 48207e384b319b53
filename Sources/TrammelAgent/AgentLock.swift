import Glibc
import TrammelCore

/// The lock beside the control socket that says an agent lives. The kernel lets go of it when the process ends,
/// however it ends.
package final class AgentLock: Sendable {
    private let descriptor: CInt
    package let path: String
    private let directory: String

    /// - Throws: `conflict` while another agent holds it.
    package init(besides socket: String) throws {
        directory = socket.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        path = directory + "/lock"
        if let doubt = TrustedPath.doubt(about: directory) { throw TrammelError.distrusted(doubt, setting: "socket") }
        if mkdir(directory, 0o755) != 0, errno != EEXIST {
            throw TrammelError(
                .unavailable, code: "run-directory",
                "make the directory \(directory): \(String(cString: strerror(errno)))",
                hint: "run the agent as root, or set `socket` to a path below a directory it may write")
        }
        descriptor = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0o644)
        if let doubt = AgentLock.doubt(about: path, descriptor) {
            if descriptor >= 0 { close(descriptor) }
            throw TrammelError.distrusted(doubt, setting: "socket")
        }
        guard descriptor >= 0 else {
            throw TrammelError(
                .forbidden, code: "lock", "open \(path): \(String(cString: strerror(errno)))",
                hint: "run the agent as root")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw TrammelError(
                .conflict, code: "agent-runs", "another agent runs on this node: it holds \(path)",
                hint: "stop it first (systemctl stop trammeld), or give this one another `socket`")
        }
    }

    /// Takes over the one that another process of the same agent holds: the kernel lets go of it when the last of the two
    /// has ended.
    init(adopting descriptor: CInt, besides socket: String) {
        directory = socket.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        path = directory + "/lock"
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    func withDescriptor<R>(_ body: (CInt) throws -> R) rethrows -> R { try body(descriptor) }

    /// Whoever made the file can hold the lock for ever.
    private static func doubt(about path: String, _ descriptor: CInt) -> TrustedPath.Doubt? {
        var status = stat()
        guard descriptor >= 0, fstat(descriptor, &status) == 0 else { return TrustedPath.doubt(aboutLink: path) }
        return TrustedPath.stranger(status.st_uid).map { .init(path: path, why: "belongs to user \($0)") }
    }

    /// One agent's cgroup is not another's: tests run several, each with a socket of its own.
    package var cgroupName: String {
        if directory == "/run/trammel" { return "agent" }
        // FNV-1a: short, and the same for the same socket.
        let hash = directory.utf8.reduce(UInt64(0xCBF2_9CE4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
        return "agent-" + String(hash, radix: 36)
    }
}
