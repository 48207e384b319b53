import ArgumentParser
import TrammelControlAPI

struct VersionCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Shows what version of the agent runs, and how it was built.",
        discussion: HelpText.of(
            "The command line's own version is told by --version, and without an agent.",
            examples: [("The agent's", "trammel version"), ("The command line's own", "trammel --version")]))

    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let version = try await global.agent.withAgent { try await $0.version() }
        try global.printer.print(version) { _ in
            let details = [version.commit.map { "commit \($0)" }, version.build, version.compiler].compactMap(\.self)
            return "trammeld \(version.version) (\(details.joined(separator: ", ")))"
        }
    }
}
