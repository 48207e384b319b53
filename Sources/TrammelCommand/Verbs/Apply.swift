import ArgumentParser
import TrammelControlAPI

struct ApplyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply",
        abstract: "Applies resources: all of them or, where one is not valid, none.",
        discussion: HelpText.of(
            """
            What is applied is live when the command returns. Each resource remembers the file and line it came from, \
            which `trammel explain` ends with. On a terminal, --prune asks before it deletes.
            """,
            examples: [
                ("One file", "trammel apply -f reviews.yaml"),
                ("All files of a folder and those below it", "trammel apply -R -f mesh/"),
                ("See first what would change, and change nothing", "trammel apply --dry-run --diff -f mesh/"),
                ("What another program makes", "cat reviews.yaml | trammel apply -f -"),
                ("Delete what is not in the folder any more", "trammel apply -f mesh/ --prune --yes"),
            ]))

    @OptionGroup var global: GlobalOptions
    @OptionGroup var options: ApplyOptions

    @Flag(name: .long, help: "Say what would change and change nothing.")
    var dryRun = false

    @Flag(name: .long, help: "Show first, line by line, what each resource would change into.")
    var diff = false

    @Flag(name: [.customShort("y"), .long], help: "Prune without asking.")
    var yes = false

    func validate() throws {
        if diff, ![.table, .wide].contains(global.output) {
            throw ValidationError("--diff is text for people; with -o \(global.output.rawValue) use `trammel diff`")
        }
    }

    func run() async throws {
        let request = try options.request(namespace: global.namespace, dryRun: dryRun)
        let asks = request.prune && !dryRun && !yes && Question.canBeAsked
        if diff || asks {
            let plan = try await global.agent.withAgent("comparing") { try await ChangePlan.of(request, $0) }
            if diff { StandardOutput.write(plan.lines(.output).map { $0 + "\n" }.joined()) }
            if asks { try Self.ask(plan) }
        }
        let (result, version) = try await global.agent.withAgent("applying") { agent in
            let result = try await agent.apply(request)
            return (result, result.dryRun ? nil : try? await agent.status().configuration)
        }
        StandardError.warn(result.warnings + result.results.flatMap(\.warnings))
        let names = result.results.map { "\($0.kind) \($0.namespace)/\($0.name)" }
        try global.printer.print(result, names: names) { _ in
            ApplySummary.text(result, version: version, style: .output)
        }
    }

    private static func ask(_ plan: ChangePlan) throws {
        let going = plan.result.results.filter { $0.outcome == .pruned }
        guard !going.isEmpty else { return }
        for resource in going {
            StandardError.say("\(resource.kind) \(resource.namespace)/\(resource.name) is not in the files")
        }
        let count = going.count == 1 ? "this resource" : "these \(going.count) resources"
        guard Question.confirm("Delete \(count)?") else {
            throw CommandFailure("nothing was changed", hint: "leave --prune out to keep what is not in the files")
        }
    }
}
