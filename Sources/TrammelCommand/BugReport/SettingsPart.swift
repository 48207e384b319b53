import Glibc
import TrammelConfig
import TrammelControlAPI
import TrammelCore
import Yams

/// `trammeld.yaml`: what it says, without its comments.
struct SettingsPart {
    private static let standard = "/etc/trammel/trammeld.yaml"

    let path: String
    /// As they are read; nil where they cannot be.
    private(set) var settings: AgentSettings?

    /// - Parameter given: the file, where the caller names it.
    /// - Parameter process: the agent, whose command line may name it.
    init(_ given: String?, of process: Int32?) {
        if let given {
            path = Files.absolute(given)
            return
        }
        let words = process.map(ProcessParts.words) ?? []
        let named = words.firstIndex(of: "--config").flatMap { $0 + 1 < words.count ? words[$0 + 1] : nil }
        path = named ?? words.first { $0.hasPrefix("--config=") }.map { String($0.dropFirst(9)) } ?? Self.standard
    }

    /// Where the agent keeps what it has; names and sizes of that are told.
    var folders: [String] {
        let settings = settings ?? AgentSettings()
        let files = [settings.socket, settings.accessLog.path ?? AccessLogPart.standard].filter { $0.hasPrefix("/") }
        let above = files.map { String($0[..<($0.lastIndex(of: "/") ?? $0.startIndex)]) }
        return Set(["/etc/trammel", settings.stateDirectory, settings.configDirectory] + above).sorted()
    }

    mutating func collect(into folder: ReportFolder, _ status: AgentStatus?) throws {
        let file = "agent/settings.yaml"
        guard let bytes = Files.bytes(of: path, most: 1 << 20) else {
            let code = errno
            guard code == ENOENT, path == Self.standard else {
                return folder.miss(file, from: path, String(cString: strerror(code)))
            }
            settings = AgentSettings()
            return folder.leaveOut(file, from: path, "there is no such file: every setting has its default")
        }
        settings = try? AgentSettings.decode(bytes, file: path)
        var lines = ["# \(path), without its comments; what is not named has its default"]
        if settings == nil { lines.append("# not valid: `trammeld --check-config --config \(path)` says why") }
        var state = stat()
        if let status, stat(path, &state) == 0, Int64(state.st_mtim.tv_sec) * 1000 > status.startedAt.milliseconds {
            lines.append("# written after the agent was started, which reads it at its start only")
        }
        do {
            guard let node = try compose(yaml: String(decoding: bytes, as: UTF8.self)) else {
                return try folder.add(file, from: path, (lines + ["# nothing is set"]).joined(separator: "\n"))
            }
            try folder.add(file, from: path, (lines + [serialize(node: node, width: -1)]).joined(separator: "\n"))
        } catch is YamlError {
            // Its words may be those of the file.
            folder.miss(file, from: path, "it is not YAML; `trammeld --check-config --config \(path)` says where")
        }
    }
}
