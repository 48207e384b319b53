import Glibc
import TrammelCore

/// A cgroup for children that probe: of their own, for one that others are in may be captured, or exempt, for reasons of
/// theirs. It goes with this.
final class ProbeCgroup {
    private let path: String

    /// What the names of all of them begin with; at the end is the number of the process that made it.
    private static let prefix = "trammel-probe"

    /// - Parameters:
    ///   - agent: in whose neighbourhood it is made, outside the exemption.
    ///   - kind: what tells it from others that this process makes.
    init(besides agent: AgentCgroup, for kind: String) throws {
        path = "\(agent.mount)/\(Self.prefix)-\(kind)-\(getpid())"
        if mkdir(path, 0o755) != 0, errno != EEXIST {
            throw TrammelError.kernel("make the cgroup \(path)", errno: errno, token: "probe")
        }
    }

    deinit { rmdir(path) }

    /// - Parameter body: gets a descriptor by which a process moves itself here.
    func withProcesses<R>(_ body: (CInt) throws -> R) throws -> R {
        let procs = open(path + "/cgroup.procs", O_WRONLY | O_CLOEXEC)
        guard procs >= 0 else {
            throw TrammelError.kernel("open \(path)/cgroup.procs", errno: errno, token: "probe")
        }
        defer { close(procs) }
        return try body(procs)
    }

    /// Removes what agents left that were killed while they probed. One that is in use stays.
    static func removeLeftovers(below mount: String) {
        for name in FileNames.list(in: mount) where name.hasPrefix(prefix + "-") {
            guard let pid = name.split(separator: "-").last.flatMap({ pid_t($0) }), kill(pid, 0) != 0, errno == ESRCH
            else { continue }
            rmdir("\(mount)/\(name)")
        }
    }
}
