import CNetfilter
import Glibc
import TrammelCore

/// The cgroups of a node by their paths below the root of the v2 hierarchy, wherever that is mounted.
package struct CgroupTree: Sendable {
    /// `/sys/fs/cgroup`, or `/sys/fs/cgroup/unified` on a hybrid layout.
    package let mount: String

    package init(mount: String) { self.mount = mount }

    /// As it is mounted now.
    package init() throws { mount = try AgentCgroup.findMount() }

    /// A path as somebody wrote it, below the root or with the mount point before it: one slash in front, none at the
    /// end. Nil for what is no path of a cgroup: a relative one, or one with `.` or `..` in it.
    package func canonical(_ path: String) -> String? {
        guard path.hasPrefix("/"), path.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else { return nil }
        var parts = path.split(separator: "/").map(String.init)
        guard !parts.contains("."), !parts.contains("..") else { return nil }
        let above = mount.split(separator: "/").map(String.init)
        if !above.isEmpty, parts.starts(with: above) { parts.removeFirst(above.count) }
        return "/" + parts.joined(separator: "/")
    }

    /// The cgroup that is at a path now; nil where none is.
    package func find(_ path: String) -> CgroupReference? {
        var status = stat()
        guard stat(directory(of: path), &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { return nil }
        return CgroupReference(path: path, id: UInt64(status.st_ino), level: UInt32(path.split(separator: "/").count))
    }

    /// The directory that is the cgroup.
    package func directory(of path: String) -> String { path == "/" ? mount : mount + path }

    /// The directories in which cgroups of these paths come and go: the nearest above each that there is.
    package func foldersAbove(_ paths: [String]) -> Set<String> {
        var folders: Set<String> = []
        var seen: Set<Substring> = []
        for path in paths {
            guard let slash = path.lastIndex(of: "/") else { continue }
            var above = path[..<slash]
            while seen.insert(above).inserted {
                let folder = mount + above
                if above.isEmpty || access(folder, F_OK) == 0 {
                    folders.insert(folder)
                    break
                }
                above = above[..<(above.lastIndex(of: "/") ?? above.startIndex)]
            }
        }
        return folders
    }

    /// The names of those right below.
    package func children(of path: String) -> [String] {
        FileNames.directories(in: directory(of: path)).sorted()
    }

    /// The cgroup that a process is in; nil where there is no such process, or its cgroup is outside of those that can
    /// be seen here or has been removed.
    package static func path(ofProcess pid: Int32) -> String? {
        guard let text = try? SystemFile.read("/proc/\(pid)/cgroup") else { return nil }
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("0::") }) else { return nil }
        let path = String(line.dropFirst(3))
        return path.hasPrefix("/..") || path.hasSuffix(" (deleted)") ? nil : path
    }

    /// A process and all that come from it, each before its children.
    package static func family(of pid: Int32) -> [Int32] {
        var found = [pid]
        var next = 0
        while next < found.count {
            let process = found[next]
            next += 1
            for task in FileNames.list(in: "/proc/\(process)/task") {
                let children = (try? SystemFile.read("/proc/\(process)/task/\(task)/children")) ?? ""
                for child in children.split(whereSeparator: { $0 == " " || $0 == "\n" }).compactMap({ Int32($0) })
                where child != getpid() && !found.contains(child) {
                    found.append(child)
                }
            }
        }
        return found
    }

    /// Makes the cgroup where it is missing, its parents too, and moves the processes into it.
    package func move(_ processes: [Int32], into path: String) throws {
        var made = mount
        for part in path.split(separator: "/") {
            made += "/\(part)"
            if mkdir(made, 0o755) != 0, errno != EEXIST {
                throw TrammelError.kernel("make the cgroup \(made)", errno: errno, token: "cgroup")
            }
        }
        for (place, process) in processes.enumerated() {
            do {
                try SystemFile.write("\(process)", to: made + "/cgroup.procs")
            } catch {
                // A child may have ended meanwhile; the process itself has not, or there is nothing to capture.
                if place == 0 { throw error }
            }
        }
    }

    /// Removes a cgroup that nothing is in; one in use stays.
    package func removeIfEmpty(_ path: String) { rmdir(directory(of: path)) }
}

extension CgroupReference {
    /// Whether `path` is this cgroup or one above it.
    package func isWithin(_ path: String) -> Bool { CgroupReference.is(self.path, within: path) }

    package static func `is`(_ path: String, within above: String) -> Bool {
        above == "/" || path == above || path.hasPrefix(above + "/")
    }
}
