import ArgumentParser
import TrammelControlAPI

struct VersionCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Shows what version of the agent runs, and how it was built.")

    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let version = try await global.withAgent { try await $0.version() }
        try Printer(format: global.output).print(version) { _ in
            let details = [version.commit.map { "commit \($0)" }, version.build, version.compiler].compactMap(\.self)
            return "trammeld \(version.version) (\(details.joined(separator: ", ")))"
        }
    }
}
