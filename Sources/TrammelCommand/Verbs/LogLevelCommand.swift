import ArgumentParser
import TrammelControlAPI

struct LogLevelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log-level", abstract: "Shows how much the agent logs, or changes it while it runs.",
        discussion: HelpText.of(
            """
            A change holds until the agent ends; `logLevel` in trammeld.yaml is for good. The levels, from the most to \
            the least talkative: \(LogLevel.names.joined(separator: ", ")).
            """,
            examples: [
                ("What it is", "trammel log-level"),
                ("Tell more, for a while", "trammel log-level debug"),
            ]))

    @OptionGroup var global: GlobalOptions

    @Argument(
        help: ArgumentHelp("The new level. Default: none, which shows what it is.", valueName: "level"),
        completion: .list(LogLevel.names))
    var level: String?

    func validate() throws {
        guard let level, !LogLevel.names.contains(level) else { return }
        let nearest = Nearest.of(level, among: LogLevel.names).map { "did you mean \($0)?" }
        throw ValidationError(
            "\"\(level)\" is not a log level; \(nearest ?? "the levels are \(LogLevel.names.joined(separator: ", "))")")
    }

    func run() async throws {
        let now = try await global.agent.withAgent { agent in
            guard let level else { return try await agent.logLevel() }
            return try await agent.setLogLevel(LogLevel(level: level))
        }
        try global.printer.print(now, names: [now.level]) { _ in
            level == nil ? now.level : "the agent logs at level \(now.level) now"
        }
    }
}
