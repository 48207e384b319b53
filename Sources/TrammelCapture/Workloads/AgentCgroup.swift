import CNetfilter
import Glibc
import TrammelCore

/// A cgroup as the kernel's rules know it: by inode and by depth below the root of the v2 hierarchy.
package struct CgroupReference: Hashable, Sendable {
    /// Below the v2 root: `/trammel/agent`.
    package let path: String
    /// The inode of its directory. A cgroup that is removed and made again has another one.
    package let id: UInt64
    /// 1 for a child of the root.
    package let level: UInt32

    package init(path: String, id: UInt64, level: UInt32) {
        self.path = path
        self.id = id
        self.level = level
    }
}

/// The cgroup v2 that the agent lives in and that its own sockets are known by. An application cannot spoof it, as it
/// could a mark: sockets carry the cgroup of the process that made them.
///
/// It has to outlive the process, since rules bear its inode and stay when the agent dies. Under systemd that is the
/// slice `trammel.slice`; run by hand, a cgroup below `/trammel` that is left in place.
package struct AgentCgroup: Hashable, Sendable {
    /// What the rules exempt.
    package let reference: CgroupReference
    /// Where the v2 hierarchy is mounted: `/sys/fs/cgroup`, or `/sys/fs/cgroup/unified` on a hybrid layout.
    package let mount: String

    /// Of cgroups that agents before this one lived in, below the one that the rules exempt: a service's is another one at
    /// every start, and what an inherited listener accepts bears that of whoever made the listener.
    package var former: Set<UInt64> = []

    package init(reference: CgroupReference, mount: String) {
        self.reference = reference
        self.mount = mount
    }

    /// Enters the agent's cgroup: stays where it is inside `trammel.slice`, else makes `/trammel/NAME` below the v2 root
    /// and moves there with all its threads. Sockets made from now on bear it.
    ///
    /// - Parameters:
    ///   - name: one for each agent of a node.
    ///   - predecessor: the process whose place this one takes, which is there until that is done.
    /// - Throws: when another process lives in that cgroup, or no v2 hierarchy is mounted.
    package static func enter(name: String, besides predecessor: Int32? = nil) throws -> AgentCgroup {
        let mount = try findMount()
        ProbeCgroup.removeLeftovers(below: mount)
        if let own = ownPath(), own == "/trammel.slice" || own.hasPrefix("/trammel.slice/") {
            return try AgentCgroup(reference: reference(to: "/trammel.slice", mount: mount), mount: mount)
        }
        guard isName(name) else {
            throw TrammelError(
                .invalid, code: "cgroup-name", "'\(name)' cannot be the name of the agent's cgroup",
                hint: "give a file name")
        }
        let parts = ["trammel", name]
        var directory = mount
        for part in parts {
            directory += "/\(part)"
            if mkdir(directory, 0o755) != 0, errno != EEXIST {
                throw TrammelError.kernel("make the cgroup \(directory)", errno: errno, token: "cgroup")
            }
        }
        // Every process in an exempt cgroup escapes capture, so the agent must be alone in it.
        let strangers = try members(of: directory).filter { $0 != getpid() && $0 != predecessor }
        guard strangers.isEmpty else {
            // Of a process that this PID namespace does not see, 0 is told (cgroups(7)).
            let some =
                strangers.contains(0)
                ? "a process of another PID namespace"
                : "process " + strangers.prefix(3).map(String.init).joined(separator: ", ")
            throw TrammelError(
                .conflict, code: "cgroup-shared", "the agent's cgroup /trammel/\(name) already holds \(some)",
                hint: "stop that process, or give this agent a cgroup of its own")
        }
        try SystemFile.write("\(getpid())", to: directory + "/cgroup.procs")
        return try AgentCgroup(reference: reference(to: "/" + parts.joined(separator: "/"), mount: mount), mount: mount)
    }

    /// Removes the cgroup `/trammel/NAME`, and `/trammel` if nothing else is in it. One that is in use stays.
    package static func remove(name: String) {
        guard isName(name), let mount = try? findMount() else { return }
        ProbeCgroup.removeLeftovers(below: mount)
        rmdir("\(mount)/trammel/\(name)")
        rmdir("\(mount)/trammel")
    }

    private static func isName(_ name: String) -> Bool {
        !name.isEmpty && name != "." && name != ".." && !name.contains("/")
    }

    /// Sees that the calling process is still in the cgroup that the rules exempt, and that the cgroup is still the
    /// one of that id. Called before rules are installed, for a rule with a wrong id makes the agent capture itself.
    package func verify() throws {
        let current = try AgentCgroup.reference(to: reference.path, mount: mount)
        guard current == reference else {
            throw TrammelError(
                .internal, code: "cgroup-replaced",
                "the cgroup \(reference.path) was removed and made again (inode \(reference.id), now \(current.id))",
                hint: "restart the agent")
        }
        let own = AgentCgroup.ownPath() ?? "nowhere"
        guard own == reference.path || own.hasPrefix(reference.path + "/") else {
            throw TrammelError(
                .internal, code: "cgroup-left", "the agent is in the cgroup \(own), expected \(reference.path)",
                hint: "restart the agent; nothing else may move it")
        }
    }

    /// The ids that the agent's own sockets bear: of the cgroup that the rules exempt, of the one below it that the agent
    /// may live in, and of those that agents before it have lived in.
    package var ids: Set<UInt64> {
        var status = stat()
        guard let own = AgentCgroup.ownPath(), stat(mount + own, &status) == 0 else {
            return former.union([reference.id])
        }
        return former.union([reference.id, UInt64(status.st_ino)])
    }

    static func reference(to path: String, mount: String) throws -> CgroupReference {
        guard path != "/" else {
            throw TrammelError(
                .invalid, code: "cgroup-root", "the root cgroup cannot be exempt from capture: every process is in it")
        }
        var status = stat()
        guard stat(mount + path, &status) == 0 else {
            throw TrammelError.kernel("find the cgroup \(mount)\(path)", errno: errno, token: "cgroup")
        }
        return CgroupReference(path: path, id: UInt64(status.st_ino), level: UInt32(path.split(separator: "/").count))
    }

    /// The mount point of the v2 hierarchy, from /proc/self/mountinfo (proc(5)): the field after " - " is the type.
    static func findMount(in mountinfo: String? = nil) throws -> String {
        let text = try mountinfo ?? SystemFile.read("/proc/self/mountinfo")
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard let dash = fields.firstIndex(of: "-"), fields.count > dash + 1, fields[dash + 1] == "cgroup2",
                fields.count > 4, fields[3] == "/"
            else { continue }
            return String(fields[4])
        }
        throw TrammelError(
            .unavailable, code: "cgroup2-missing", "no cgroup v2 hierarchy is mounted",
            hint: "mount one: mount -t cgroup2 none /sys/fs/cgroup")
    }

    /// The v2 cgroup of this process: the line that begins with `0::` in /proc/self/cgroup.
    static func ownPath() -> String? {
        guard let text = try? SystemFile.read("/proc/self/cgroup") else { return nil }
        return text.split(separator: "\n").first { $0.hasPrefix("0::") }.map { String($0.dropFirst(3)) }
    }

    private static func members(of directory: String) throws -> [pid_t] {
        try SystemFile.read(directory + "/cgroup.procs").split(separator: "\n").compactMap { pid_t($0) }
    }
}
