import FoundationEssentials
import Glibc
import TrammelControlAPI

/// The agent's process, as /proc shows it: the one that answered, or, where none did, each that is called `trammeld`.
struct ProcessParts {
    /// Those that are looked at where nobody answered.
    private static let most = 4

    let processes: [Int32]

    init(_ status: AgentStatus?) {
        if let status {
            processes = [status.pid]
        } else {
            let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
            let found = entries.compactMap { Int32($0) }.filter { process in
                Files.bytes(of: "/proc/\(process)/comm", most: 64) == Array("trammeld\n".utf8)
            }
            processes = Array(found.sorted().prefix(Self.most))
        }
    }

    func collect(into folder: ReportFolder) throws {
        if processes.isEmpty { folder.miss("process", from: "/proc", "no process is called trammeld") }
        for process in processes {
            let place = "/proc/\(process)"
            for name in ["status", "limits", "cgroup", "stat", "io", "sched", "net/sockstat"] {
                let file = "process/\(process)-\(name.split(separator: "/").joined(separator: "-")).txt"
                guard let bytes = Files.bytes(of: "\(place)/\(name)", most: 256 << 10) else {
                    folder.miss(file, from: "\(place)/\(name)", String(cString: strerror(errno)))
                    continue
                }
                try folder.add(file, from: "\(place)/\(name)", String(decoding: bytes, as: UTF8.self))
            }
            let file = "process/\(process)-command.txt"
            try folder.add(file, from: "\(place)/cmdline", Self.words(of: process).joined(separator: " "))
            try descriptors(of: process, into: folder)
        }
    }

    /// How many of each sort, and of what.
    private func descriptors(of process: Int32, into folder: ReportFolder) throws {
        let place = "/proc/\(process)/fd", file = "process/\(process)-descriptors.txt"
        let entries: [String]
        do {
            entries = try FileManager.default.contentsOfDirectory(atPath: place)
        } catch {
            return folder.miss(file, from: place, "it may not be looked at by this user")
        }
        var counts: [String: Int] = [:]
        for entry in entries {
            guard let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "\(place)/\(entry)") else {
                continue
            }
            // `socket:[4711]` is a socket, a path is itself.
            counts[String(target.prefix { $0 != "[" }), default: 0] += 1
        }
        let sorts = counts.keys.sorted()
        let lines = sorts.map { "\(counts[$0] ?? 0) \($0)" }
        try folder.add(file, from: place, "\(entries.count) open\n" + lines.joined(separator: "\n"))
    }

    /// Its command line.
    static func words(of process: Int32) -> [String] {
        let bytes = Files.bytes(of: "/proc/\(process)/cmdline", most: 64 << 10) ?? []
        return bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    }
}
