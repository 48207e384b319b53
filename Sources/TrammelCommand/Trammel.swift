import ArgumentParser
import Glibc
import TrammelControlAPI
import TrammelCore

/// The command line: talks to the agent over its Unix socket and to nothing else.
struct Trammel: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trammel",
        abstract: "Steers the agent of a node: what is captured, where it goes, and why.",
        discussion: """
            Exit status: 0 done, 1 refused or failed (the reason stands on standard error), 2 wrong usage, 3 the agent \
            cannot be reached.

            EXAMPLES:
              # Capture the traffic of a network namespace
              trammel attach --netns web --name web --label app=web
              # Say where it goes
              trammel apply -f mesh/
              # See what happens
              trammel top
              # Ask why
              trammel explain --from web --to http://reviews:9080/
            """,
        version: Build.version,
        groupedSubcommands: [
            CommandGroup(
                name: "Capture",
                subcommands: [
                    AttachCommand.self, DetachCommand.self, WorkloadsCommand.self, RulesCommand.self,
                    BypassCommand.self,
                ]),
            CommandGroup(
                name: "Configure",
                subcommands: [
                    ApplyCommand.self, DiffCommand.self, ValidateCommand.self, GetCommand.self, DeleteCommand.self,
                ]),
            CommandGroup(
                name: "Observe",
                subcommands: [
                    TopCommand.self, TapCommand.self, GraphCommand.self, ConnectionsCommand.self, ServicesCommand.self,
                    EndpointsCommand.self, ExplainCommand.self,
                ]),
            CommandGroup(
                name: "Agent",
                subcommands: [
                    StatusCommand.self, DoctorCommand.self, BugReportCommand.self, LogLevelCommand.self,
                    VersionCommand.self, CompletionCommand.self,
                ]),
        ])

    static func main() async {
        let arguments = ArgumentOrder.verbFirst(Array(CommandLine.arguments.dropFirst()))
        do {
            try NotBuiltYet.refuse(arguments.first == "help" ? Array(arguments.dropFirst()) : arguments)
            try refuseUnknownVerb(arguments)
            var command = try parseAsRoot(arguments)
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            end(with: error, arguments: arguments)
        }
    }

    private static func refuseUnknownVerb(_ arguments: [String]) throws {
        // `help VERB` is about a verb too.
        let named = arguments.first == "help" ? arguments.dropFirst() : arguments[...]
        guard let verb = named.first, !verb.hasPrefix("-"), verb != "help" else { return }
        let verbs = configuration.subcommands.compactMap { $0.configuration.commandName }
        guard !verbs.contains(verb) else { return }
        let nearest = Nearest.of(verb, among: verbs + NotBuiltYet.verbs)
        throw CommandFailure(
            "there is no verb \"\(verb)\"",
            hint: nearest.map { "did you mean `trammel \($0)`?" } ?? "`trammel --help` lists them",
            status: CommandFailure.usage)
    }

    /// Says what went wrong and leaves with the status that the contract has for it.
    private static func end(with error: any Error, arguments: [String]) -> Never {
        if let failure = CommandFailure(describing: error) {
            let name = "trammel:"
            for line in failure.lines {
                let rest = line.hasPrefix(name) ? line.dropFirst(name.count) : line[...]
                StandardError.say((line.hasPrefix(name) ? Style.errors.paint(name, .bad) : "") + rest)
            }
            Glibc.exit(failure.status)
        }
        // A status without words: what there was to say is said.
        if let code = error as? ExitCode { Glibc.exit(code.rawValue) }
        if exitCode(for: error).isSuccess { exit(withError: error) }
        let verb = arguments.first.map { $0.hasPrefix("-") ? "" : "\($0) " } ?? ""
        var message = message(for: error).split(separator: "\n").joined(separator: " ")
        if message.hasSuffix(".") { message.removeLast() }
        StandardError.say("trammel: \(message); see `trammel \(verb)--help`")
        Glibc.exit(CommandFailure.usage)
    }
}
