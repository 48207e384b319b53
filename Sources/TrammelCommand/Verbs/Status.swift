import ArgumentParser
import TrammelControlAPI

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Shows the state of the agent: what it captures, what it knows, what is amiss.",
        discussion: HelpText.of(
            "Exit status 0 says that the agent answered, whatever its state; a script reads `.state` of the JSON.",
            examples: [
                ("At a glance", "trammel status"),
                ("As it changes", "trammel status --watch"),
                ("For a script", "trammel status -o json"),
            ]))

    @OptionGroup var global: GlobalOptions
    @OptionGroup var watch: WatchOption

    func run() async throws {
        guard watch.watch else {
            let status = try await global.agent.withAgent { try await $0.status() }
            return try global.printer.print(status, names: [status.node]) { _ in
                Self.lines(status, style: .output).joined(separator: "\n")
            }
        }
        try await StatusWatch(format: global.output).run(global.agent)
    }

    static func lines(_ status: AgentStatus, style: Style) -> [String] {
        let kinds = status.resources.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
        let tone: Tone = status.state == .running ? .good : status.state == .degraded ? .bad : .warning
        var lines = [
            ("Agent", "\(style.paint(status.state.rawValue, tone))\(status.reason.map { ": \($0)" } ?? "")"),
            ("Version", status.version),
            ("Node", "\(status.node), pid \(status.pid), \(status.dataLoops) data loops"),
            ("Since", status.startedAt.description),
            (
                "Capture",
                "\(status.capture.backend), \(status.capture.mode)\(status.capture.reason.map { " (\($0))" } ?? "")"
            ),
            ("Workloads", "\(status.workloads.attached) attached, \(status.workloads.degraded) degraded"),
            ("Resources", kinds.isEmpty ? "none" : kinds.joined(separator: ", ")),
            ("Configuration", "number \(status.configuration)"),
            ("Connections", "\(status.connections.open) open, \(status.connections.total) since the start"),
        ]
        if let memory = status.memory {
            let held = "\(Readable.bytes(UInt64(memory.resident))) of \(Readable.bytes(UInt64(memory.limit)))"
            let step = memory.step == "none" ? "" : ", \(style.paint(memory.step, .bad))"
            lines.append(("Memory", held + step))
        }
        if status.connections.unknownDestination > 0 {
            lines.append(("Refused", "\(status.connections.unknownDestination) whose destination was not known"))
        }
        let width = lines.map(\.0.count).max() ?? 0
        return lines.map { "\($0.0):\(String(repeating: " ", count: width - $0.0.count + 2))\($0.1)" }
            + status.warnings.map { "\(style.paint("warning:", .warning)) \($0.printable)" }
    }
}
