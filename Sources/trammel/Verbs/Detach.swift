import ArgumentParser
import TrammelControlAPI

struct DetachCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "detach", abstract: "Ends the capture of a workload and takes away every rule it had.",
        discussion: HelpText.of(
            "The workload has its plain network back; its connections through the agent end.",
            examples: [
                ("One of them", "trammel detach productpage"),
                ("All of them", "trammel detach --all"),
            ]))

    @OptionGroup var global: GlobalOptions

    @Argument(
        help: ArgumentHelp("The workload: a name or namespace/name.", valueName: "name"),
        completion: Names.workloads)
    var name: String?

    @Flag(name: .long, help: "Detach every workload, or every one of --namespace.")
    var all = false

    func validate() throws {
        guard (name != nil) != all else { throw ValidationError("give a workload's name or --all") }
    }

    func run() async throws {
        let results = try await global.agent.withAgent("detaching") { agent in
            var results: [DetachResult] = []
            for target in try await targets(agent) {
                results.append(try await agent.detach(namespace: target.namespace, name: target.name))
            }
            return results
        }
        for result in results { StandardError.warn(result.warnings) }
        let names = results.map { "\($0.namespace)/\($0.name)" }
        try global.printer.print(ItemList(results), names: names) { _ in
            results.map { "\($0.namespace)/\($0.name) detached\n" }.joined()
        }
    }

    private func targets(_ agent: ControlClient) async throws -> [(namespace: String, name: String)] {
        if let name { return [try global.agent.resolve(name)] }
        return try await agent.workloads().filter { global.agent.lists(namespace: $0.namespace) }
            .map { ($0.namespace, $0.name) }
    }
}
