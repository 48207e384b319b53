import ArgumentParser
import TrammelControlAPI

struct DiffCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff",
        abstract: "Shows what an apply of these files would change, line by line, and changes nothing.",
        discussion: HelpText.of(
            """
            The agent judges the files as `trammel apply` has it do, so warnings and faults are told as well. Exit \
            status 0, unless --exit-code is given.
            """,
            examples: [
                ("What a folder would change", "trammel diff -f mesh/"),
                ("With what --prune would delete", "trammel diff -f mesh/ --prune"),
                ("In a script: status 1 where anything differs", "trammel diff -f mesh/ --exit-code"),
            ]))

    @OptionGroup var global: GlobalOptions
    @OptionGroup var options: ApplyOptions

    @Flag(name: .long, help: "End with status 1 where an apply would change something.")
    var exitCode = false

    func run() async throws {
        let request = try options.request(namespace: global.namespace, dryRun: true)
        let plan = try await global.agent.withAgent("comparing") { try await ChangePlan.of(request, $0) }
        StandardError.warn(plan.result.warnings + plan.result.results.flatMap(\.warnings))
        let names = plan.entries.map { "\($0.result.kind) \($0.result.namespace)/\($0.result.name)" }
        try global.printer.print(plan.result, names: names) { _ in
            plan.lines(.output).map { $0 + "\n" }.joined()
        }
        if exitCode, !plan.entries.isEmpty { throw ExitCode(CommandFailure.failed) }
    }
}
