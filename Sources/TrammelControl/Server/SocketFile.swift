import Glibc
import TrammelControlAPI
import TrammelCore

/// The control socket's place in the file system: made ready before the bind, opened to all after it (who may do what
/// is judged per peer), and removed at the end if it is still ours.
struct SocketFile: Sendable {
    let path: String
    /// An agent lives there, and makes room.
    let takesOver: Bool

    /// Where the socket is made, to be moved to its path once it can be used. NIO removes what it has bound when it closes,
    /// and by then another agent's may be at the path.
    var place: String { "\(path).\(getpid())" }

    /// Makes the directory where it is missing, and takes away the socket of an agent that is dead.
    /// - Throws: `TrammelError`: `conflict` where an agent lives there, `invalid` where the path cannot be a socket's.
    func prepare() throws {
        guard path.hasPrefix("/") else {
            throw TrammelError(
                .invalid, code: "socket-path", "the socket path \"\(path)\" is not absolute",
                hint: "set `socket` to a path like \(ControlClient.defaultSocket)")
        }
        guard place.utf8.count <= UnixSocketProbe.longestPath else {
            throw TrammelError(
                .invalid, code: "socket-path",
                "the socket path \(path) has \(place.utf8.count) bytes, the kernel takes \(UnixSocketProbe.longestPath)",
                hint: "set `socket` to a shorter path")
        }
        try makeDirectory()
        guard unlink(place) == 0 || errno == ENOENT else { throw failure("remove what is left beside") }
        removeLeftovers()
        if takesOver { return }
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw TrammelError(
                .conflict, code: "socket-path", "\(path) exists and is not a socket",
                hint: "move it away or set `socket` to another path")
        }
        switch UnixSocketProbe.connect(to: path) {
        case 0, EAGAIN:
            throw TrammelError(
                .conflict, code: "agent-alive", "another agent listens at \(path)",
                hint: "stop it first (`systemctl stop trammeld`) or set `socket` to another path")
        case ECONNREFUSED:
            guard unlink(path) == 0 || errno == ENOENT else { throw failure("remove the dead agent's socket") }
        case ENOENT:
            return
        case let code:
            throw TrammelError(
                .unavailable, code: "socket-path",
                "whether an agent listens at \(path) cannot be told: \(String(cString: strerror(code)))",
                hint: "remove the file if no agent runs")
        }
    }

    /// Of agents that died before they had moved their sockets to their places.
    private func removeLeftovers() {
        let parts = path.split(separator: "/")
        let directory = "/" + parts.dropLast().joined(separator: "/")
        guard let name = parts.last, let listing = opendir(directory) else { return }
        defer { closedir(listing) }
        while let entry = readdir(listing) {
            let found = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard found.hasPrefix("\(name)."), let pid = pid_t(found.dropFirst(name.utf8.count + 1)),
                kill(pid, 0) != 0, errno == ESRCH, UnixSocketProbe.connect(to: "\(directory)/\(found)") == ECONNREFUSED
            else { continue }
            unlink("\(directory)/\(found)")
        }
    }

    /// Lets every user connect; whom the agent then serves is another matter.
    /// - Returns: what tells this very file from one that takes its place later.
    func open() throws -> Identity {
        guard fchmodat(AT_FDCWD, place, 0o666, AT_SYMLINK_NOFOLLOW) == 0 else { throw failure("open up") }
        guard rename(place, path) == 0 else { throw failure("put in place") }
        var status = stat()
        guard lstat(path, &status) == 0 else { throw failure("look at") }
        return Identity(device: status.st_dev, inode: status.st_ino)
    }

    /// Removes the file if it is still the one that was opened.
    func remove(_ identity: Identity) {
        var status = stat()
        guard lstat(path, &status) == 0,
            Identity(device: status.st_dev, inode: status.st_ino) == identity
        else { return }
        unlink(path)
    }

    struct Identity: Equatable, Sendable {
        let device: dev_t
        let inode: ino_t
    }

    private func makeDirectory() throws {
        let parts = path.split(separator: "/").dropLast()
        var directory = ""
        for part in parts {
            directory += "/" + part
            if mkdir(directory, 0o755) == 0 {
                // Whatever the umask: every user has to get through to the socket.
                guard chmod(directory, 0o755) == 0 else { throw failure("make the directory of") }
            } else if errno != EEXIST {
                throw failure("make the directory of")
            }
        }
    }

    private func failure(_ what: String) -> TrammelError {
        let reason = String(cString: strerror(errno))
        return TrammelError(
            .unavailable, code: "socket-path", "cannot \(what) \(path): \(reason)",
            hint: "run the agent as root or set `socket` to a path that it may write")
    }
}
