import Glibc
import TrammelCore

/// The cgroup of the agent's own: its sockets are told by it from everybody else's, which no mark or user id could do,
/// since an application can take those on.
package struct AgentCgroup: Sendable {
    package let path: String
    package let reference: CgroupReference

    /// Enters `/trammel/NAME` below the root of the cgroup v2 tree, made where it is missing.
    ///
    /// Every thread of the process moves, and sockets made from now on bear it. It outlives the process, so that rules
    /// which name it hold until the next agent comes.
    package static func enter(name: String) throws -> AgentCgroup {
        let root = try mountPoint()
        let parent = root + "/trammel"
        let path = parent + "/" + name
        for directory in [parent, path] where mkdir(directory, 0o755) != 0 && errno != EEXIST {
            throw KernelError.make("make the cgroup \(directory)", errno)
        }
        try write("\(getpid())", to: path + "/cgroup.procs")
        var status = stat()
        guard stat(path, &status) == 0 else { throw KernelError.make("look at the cgroup \(path)", errno) }
        return AgentCgroup(
            path: path, reference: CgroupReference(id: UInt64(status.st_ino), level: 2))
    }

    /// Removes the cgroup `/trammel/NAME`, and `/trammel` if nothing else is in it. One that is in use stays.
    package static func remove(name: String) {
        guard let root = try? mountPoint() else { return }
        rmdir(root + "/trammel/" + name)
        rmdir(root + "/trammel")
    }

    /// Where the cgroup v2 tree is mounted: /sys/fs/cgroup, or below it on a machine that has both versions.
    private static func mountPoint() throws -> String {
        let mounts = try File.text(of: "/proc/self/mountinfo")
        for line in mounts.split(separator: "\n") {
            // ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS… - TYPE SOURCE OPTIONS (proc(5))
            let words = line.split(separator: " ")
            guard let dash = words.firstIndex(of: "-"), dash + 1 < words.count, words[dash + 1] == "cgroup2",
                words.count > 4, words[3] == "/"
            else { continue }
            return String(words[4])
        }
        throw TrammelError(
            .unavailable, code: "no-cgroup2", "no cgroup v2 tree is mounted",
            hint: "mount one: mount -t cgroup2 none /sys/fs/cgroup")
    }

    private static func write(_ text: String, to path: String) throws {
        let file = try Descriptor(path: path, O_WRONLY)
        let count = Glibc.write(file.number, text, text.utf8.count)
        guard count == text.utf8.count else { throw KernelError.make("enter the cgroup \(path)", errno) }
    }
}

/// Small files of /proc and /sys.
enum File {
    static func text(of path: String) throws -> String {
        let file = try Descriptor(path: path)
        var bytes: [UInt8] = []
        while true {
            let chunk = [UInt8](unsafeUninitializedCapacity: 16384) { buffer, count in
                count = max(0, read(file.number, buffer.baseAddress, buffer.count))
            }
            if chunk.isEmpty { return String(decoding: bytes, as: UTF8.self) }
            bytes += chunk
        }
    }

    static func write(_ text: String, to path: String) throws {
        let file = try Descriptor(path: path, O_WRONLY)
        guard Glibc.write(file.number, text, text.utf8.count) == text.utf8.count else {
            throw KernelError.make("write \(path)", errno)
        }
    }
}
