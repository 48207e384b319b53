import Foundation

extension Systemd {
    /// What systemd says of the service that this process is of.
    struct OwnService: Sendable {
        /// Whether it is being started anew, rather than stopped.
        let isRestarting: Bool
        /// How many more descriptors systemd keeps for it.
        let room: Int
    }

    /// Nil where this process is of no service.
    /// - Throws: where systemd does not say.
    static func ownService() throws -> OwnService? {
        guard let unit = ownUnit else { return nil }
        let shown = try run(
            "systemctl", ["show", "--property=FileDescriptorStoreMax,NFileDescriptorStore", "--", unit])
        let jobs = try run("systemctl", ["list-jobs", "--no-legend", "--no-pager", "--", unit])
        return OwnService(
            isRestarting: restarts(unit, jobs),
            room: number("FileDescriptorStoreMax", shown) - number("NFileDescriptorStore", shown))
    }

    /// `trammeld.service`, by the last part of its cgroup's path.
    private static var ownUnit: String? {
        let text = (try? String(contentsOfFile: "/proc/self/cgroup", encoding: .utf8)) ?? ""
        let last = text.split(separator: "\n").compactMap { $0.split(separator: "/").last.map(String.init) }
        return last.first { $0.hasSuffix(".service") }
    }

    /// A line for each job: `417 trammeld.service restart running`.
    static func restarts(_ unit: String, _ jobs: String) -> Bool {
        jobs.split(separator: "\n").contains { line in
            let words = line.split(separator: " ").map(String.init)
            guard let place = words.firstIndex(of: unit), place + 1 < words.count else { return false }
            return words[place + 1].hasSuffix("restart") || words[place + 1] == "start"
        }
    }

    private static func number(_ name: String, _ shown: String) -> Int {
        for line in shown.split(separator: "\n") where line.hasPrefix("\(name)=") {
            return Int(line.dropFirst(name.utf8.count + 1)) ?? 0
        }
        return 0
    }
}
