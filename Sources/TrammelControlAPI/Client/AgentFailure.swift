import Glibc

/// Why the agent could not be asked, with what to do about it.
package struct AgentUnreachable: Error, Hashable, Sendable, CustomStringConvertible {
    package let message: String
    package let hint: String

    package var description: String { "\(message); \(hint)" }

    /// Asks the kernel why a connection to `socket` fails; `fallback` is said where, by now, it would succeed.
    package static func diagnose(socket path: String, fallback: String) -> AgentUnreachable {
        let code = UnixSocketProbe.connect(to: path)
        switch code {
        case ENOENT:
            return AgentUnreachable(
                message: "no agent listens at \(path): there is no such socket",
                hint: "see `systemctl status trammeld`, or name the agent's socket with --socket or TRAMMEL_SOCKET")
        case ECONNREFUSED:
            return AgentUnreachable(
                message: "no agent listens at \(path): the socket was left behind by one that ended",
                hint: "start it (`systemctl start trammeld`) and see `systemctl status trammeld` for why it ended")
        case EACCES, EPERM:
            return AgentUnreachable(
                message: "the socket \(path) may not be opened by this user",
                hint: "run as root or as a member of the group `trammel` (`trammel-view` to look only)")
        case ENAMETOOLONG:
            return AgentUnreachable(
                message: "the socket path \(path) is too long",
                hint: "a Unix socket's path has at most \(UnixSocketProbe.longestPath) bytes")
        case ENOTSOCK, EPROTOTYPE:
            return AgentUnreachable(
                message: "\(path) is not the socket of an agent",
                hint: "name the agent's socket with --socket or TRAMMEL_SOCKET")
        case 0:
            return AgentUnreachable(
                message: "the agent at \(path) did not answer: \(fallback)",
                hint: "see `systemctl status trammeld` and `journalctl -u trammeld`")
        default:
            return AgentUnreachable(
                message: "the agent at \(path) cannot be reached: \(String(cString: strerror(code)))",
                hint: "see `systemctl status trammeld`")
        }
    }
}

/// Tries a Unix socket without saying anything to whoever listens there.
package enum UnixSocketProbe {
    /// The bytes of `sockaddr_un.sun_path` less the terminating NUL.
    package static let longestPath = MemoryLayout.size(ofValue: sockaddr_un().sun_path) - 1

    /// Connects and hangs up. Returns 0 where somebody listens, else the errno of connect(2).
    package static func connect(to path: String) -> CInt {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count <= longestPath else { return ENAMETOOLONG }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return errno }
        defer { close(descriptor) }
        let result = withUnsafePointer(to: &address) {
            // The kernel reads a sockaddr of the length given; sockaddr_un is one.
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        return result == 0 ? 0 : errno
    }
}
