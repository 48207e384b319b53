import ArgumentParser
import TrammelControlAPI

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Shows the state of the agent: what it captures, what it knows, what is amiss."
    )

    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let status = try await global.withAgent { try await $0.status() }
        try Printer(format: global.output).print(status) { _ in Self.text(status) }
    }

    static func text(_ status: AgentStatus) -> String {
        let kinds = status.resources.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
        var lines = [
            ("Agent", "\(status.state.rawValue)\(status.reason.map { ": \($0)" } ?? "")"),
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
        if status.connections.unknownDestination > 0 {
            lines.append(("Refused", "\(status.connections.unknownDestination) whose destination was not known"))
        }
        let width = lines.map(\.0.count).max() ?? 0
        return lines.map { "\($0.0):\(String(repeating: " ", count: width - $0.0.count + 2))\($0.1)\n" }.joined()
            + status.warnings.map { "warning: \($0)\n" }.joined()
    }
}
