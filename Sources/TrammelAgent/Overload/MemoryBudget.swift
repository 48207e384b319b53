import Glibc

/// How much memory the agent may hold, and how much it does.
struct MemoryBudget: Sendable {
    /// Bytes.
    let limit: Int
    /// Where the limit comes from, for people.
    let origin: String
    /// The folder of the agent's own cgroup of version 2, where that has a limit of its own: sockets' buffers in the kernel
    /// count there too.
    private let ownCgroup: String?

    /// - Parameters:
    ///   - asked: bytes, as `limits.memory` says; nil: the least that a cgroup above the agent allows, or half of what the
    ///     machine has.
    ///   - root: of the file system, for tests.
    init(asked: Int?, root: String = "") {
        let groups = Self.cgroups(root)
        ownCgroup = groups.first.flatMap { $0.isUnified && $0.limit != nil ? $0.folder : nil }
        if let asked {
            (limit, origin) = (asked, "limits.memory")
        } else if let least = groups.compactMap({ group in group.limit.map { ($0, group.folder) } }).min(by: <) {
            (limit, origin) = (least.0, "the limit of \(least.1)")
        } else {
            (limit, origin) = (Self.machineBytes(root) / 2, "half of the machine's memory")
        }
    }

    struct Reading {
        /// Bytes that the process holds.
        let resident: Int
        /// Of the limit, or of the own cgroup's if that is nearer to its own; 1 is all.
        let fullness: Double
    }

    func read() -> Reading {
        let resident = AgentProcess.residentBytes
        let ofLimit = Double(resident) / Double(max(1, limit))
        return Reading(resident: resident, fullness: max(ofLimit, cgroupFullness ?? 0))
    }

    private var cgroupFullness: Double? {
        guard let ownCgroup, let limit = Self.number(ownCgroup + "/memory.max"), limit > 0,
            let used = Self.used(by: ownCgroup)
        else { return nil }
        return Double(used) / Double(limit)
    }

    /// Bytes that a cgroup holds, sockets' buffers included.
    private static func used(by folder: String) -> Int? {
        guard let used = number(folder + "/memory.current") else { return nil }
        // The page cache goes before anybody is killed.
        let cache = text(folder + "/memory.stat").flatMap { entry("file", in: $0) } ?? 0
        return max(0, used - cache)
    }

    /// One of the bounds that the kernel holds a cgroup to.
    struct KernelBound: Equatable, Sendable {
        let folder: String
        /// `memory.max`, or `memory.high`, from which on the kernel slows its processes down.
        let file: String
        /// Bytes, both.
        let used: Int
        let limit: Int
    }

    /// Those of the agent's cgroup and the ones above it, as they are now.
    static func kernelBounds(root: String = "") -> [KernelBound] {
        cgroups(root).filter(\.isUnified).flatMap { group in
            ["memory.max", "memory.high"].compactMap { file in
                guard let limit = number("\(group.folder)/\(file)"), let used = used(by: group.folder) else {
                    return nil
                }
                return KernelBound(folder: group.folder, file: file, used: used, limit: limit)
            }
        }
    }

    // MARK: What the kernel says

    struct Cgroup {
        let folder: String
        let limit: Int?
        let isUnified: Bool
    }

    /// From the process's own up to the root, of each hierarchy that bounds memory.
    static func cgroups(_ root: String) -> [Cgroup] {
        let lines = (text(root + "/proc/self/cgroup") ?? "").split(separator: "\n")
        var found: [Cgroup] = []
        for line in lines {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 3 else { continue }
            let isUnified = parts[1].isEmpty
            guard isUnified || parts[1].split(separator: ",").contains("memory") else { continue }
            let mounts = isUnified ? ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] : ["/sys/fs/cgroup/memory"]
            guard let mount = mounts.first(where: { exists("\(root)\($0)\(parts[2])") }) else { continue }
            var path = parts[2]
            while true {
                let folder = "\(root)\(mount)\(path == "/" ? "" : path)"
                let limit = number(folder + (isUnified ? "/memory.max" : "/memory.limit_in_bytes"))
                // Version 1 says "none" by a number that no machine has.
                found.append(
                    Cgroup(folder: folder, limit: limit.flatMap { $0 < 1 << 60 ? $0 : nil }, isUnified: isUnified))
                guard path != "/", let slash = path.lastIndex(of: "/") else { break }
                path = slash == path.startIndex ? "/" : String(path[..<slash])
            }
        }
        return found
    }

    private static func machineBytes(_ root: String) -> Int {
        let kibibytes = text(root + "/proc/meminfo").flatMap { entry("MemTotal:", in: $0) }
        return (kibibytes ?? 1 << 20) * 1024
    }

    /// The number behind a word at the beginning of a line.
    private static func entry(_ name: String, in text: String) -> Int? {
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.count > 1, words[0] == name { return Int(words[1]) }
        }
        return nil
    }

    private static func number(_ path: String) -> Int? {
        text(path).flatMap { Int($0.prefix { $0 != "\n" }) }
    }

    private static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Nil for a file that is not there, or longer than 64 KiB.
    private static func text(_ path: String) -> String? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        return String(unsafeUninitializedCapacity: 65_536) { fread($0.baseAddress, 1, $0.count, file) }
    }
}
