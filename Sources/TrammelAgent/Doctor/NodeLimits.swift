import Glibc
import TrammelControlAPI

/// What the node allows that the agent may run into, as it is now.
struct NodeLimits: Sendable {
    /// Files open on the whole node, and how many may be.
    var files: (open: Int, limit: Int)?
    /// Processes and threads in the agent's cgroup, and how many may be; nil without a limit.
    var tasks: (count: Int, limit: Int)?
    /// Pages that TCP holds, from how many on the kernel holds back, and how many it has; nil where it does not tell.
    var tcpPages: (held: Int, pressure: Int, most: Int)?
    /// Why files cannot be watched; nil where they can.
    var inotify: CInt?

    static func read() -> NodeLimits {
        var limits = NodeLimits()
        let open = numbers("/proc/sys/fs/file-nr")
        if open.count == 3 { limits.files = (open[0], open[2]) }
        limits.tasks = tasks()
        let tcp = text("/proc/net/sockstat").split(separator: "\n").first { $0.hasPrefix("TCP:") }
        let words = tcp?.split(separator: " ") ?? []
        let pressure = numbers("/proc/sys/net/ipv4/tcp_mem")
        if let place = words.firstIndex(of: "mem"), place + 1 < words.count, let held = Int(words[place + 1]),
            pressure.count == 3
        {
            limits.tcpPages = (held, pressure[1], pressure[2])
        }
        let watcher = inotify_init1(CInt(IN_CLOEXEC))
        if watcher < 0 {
            limits.inotify = errno
        } else {
            if inotify_add_watch(watcher, "/proc/self", UInt32(IN_ATTRIB)) < 0 { limits.inotify = errno }
            close(watcher)
        }
        return limits
    }

    /// Of the cgroup that the agent is in, by the unified hierarchy.
    private static func tasks() -> (count: Int, limit: Int)? {
        let line = text("/proc/self/cgroup").split(separator: "\n").first { $0.hasPrefix("0::") }
        guard let path = line.map({ "/sys/fs/cgroup\($0.dropFirst(3))" }),
            let count = numbers("\(path)/pids.current").first, let limit = numbers("\(path)/pids.max").first
        else { return nil }
        return (count, limit)
    }

    private static func numbers(_ path: String) -> [Int] {
        text(path).split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
    }

    private static func text(_ path: String) -> String {
        guard let file = fopen(path, "re") else { return "" }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 16 << 10)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes.prefix(count), as: UTF8.self)
    }
}

extension DoctorChecks {
    /// What share of a limit is near it.
    private static func isNear(_ count: Int, _ limit: Int) -> Bool { limit > 0 && Double(count) >= 0.8 * Double(limit) }

    static func limits(_ limits: NodeLimits) -> [DoctorCheck] {
        var checks: [DoctorCheck] = []
        if let (open, limit) = limits.files {
            let found = "\(open) of \(limit) files are open on the node"
            checks.append(
                isNear(open, limit)
                    ? DoctorCheck(
                        "files", .warning, found, meaning: "When none is left, nobody on the node can open one.",
                        advice: "find who holds them (lsof), or: sysctl -w fs.file-max=\(2 * limit)")
                    : DoctorCheck("files", .ok, found))
        }
        if let (count, limit) = limits.tasks {
            let found = "\(count) of \(limit) tasks are in the agent's cgroup"
            checks.append(
                isNear(count, limit)
                    ? DoctorCheck(
                        "tasks", .warning, found,
                        meaning: "Without a thread or process more, the doctor's probes fail.",
                        advice: "systemctl set-property trammeld.service TasksMax=\(max(512, 2 * limit))")
                    : DoctorCheck("tasks", .ok, found))
        }
        if let pages = limits.tcpPages { checks.append(tcpMemory(pages)) }
        checks.append(inotify(limits.inotify))
        return checks
    }

    static func inotify(_ failure: CInt?) -> DoctorCheck {
        guard let failure else { return DoctorCheck("inotify", .ok, "files can be watched") }
        let name = failure == ENOSPC ? "max_user_watches" : "max_user_instances"
        return DoctorCheck(
            "inotify", .warning,
            "no file can be watched: \(String(cString: strerror(failure))); expected room for one more",
            meaning: "Changes of the configuration and of units are found within seconds instead of at once.",
            advice: "sysctl -w fs.inotify.\(name)=\(failure == ENOSPC ? 524_288 : 1024)")
    }

    /// - Parameter limit: of descriptors, for the agent.
    static func descriptorLimit(_ limit: UInt, connectionsPerWorkload: Int) -> DoctorCheck {
        let found = "the agent may open \(limit) files"
        guard limit < 4096 else { return DoctorCheck("descriptor limit", .ok, found) }
        return DoctorCheck(
            "descriptor limit", .warning, "\(found); expected 4096 at least",
            meaning: "That is room for about \(limit / 2) connections, and one workload alone may have "
                + "\(connectionsPerWorkload).",
            advice: "set LimitNOFILE= in the unit, or raise `ulimit -n` before you start it")
    }

    /// - Parameter queue: `net.core.somaxconn` of the workload's namespace.
    static func backlog(_ workload: String, _ queue: Int?) -> DoctorCheck {
        guard let queue else { return DoctorCheck("backlog", workload, .skipped, "net.core.somaxconn cannot be read") }
        let found = "\(queue) connections may wait to be taken (net.core.somaxconn)"
        guard queue < 1024 else { return DoctorCheck("backlog", workload, .ok, found) }
        return DoctorCheck(
            "backlog", workload, .warning, "\(found); expected 1024 at least, 4096 is the kernel's own",
            meaning: "In a burst the kernel drops connections before the agent sees them.",
            advice: "in its network namespace: sysctl -w net.core.somaxconn=4096; then detach it and attach it again")
    }
}
