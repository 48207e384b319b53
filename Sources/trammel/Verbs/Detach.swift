import ArgumentParser
import TrammelControlAPI

struct DetachCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "detach", abstract: "Ends the capture of a workload and takes away every rule it had.")

    @OptionGroup var global: GlobalOptions

    @Argument(help: ArgumentHelp("The workload: a name or namespace/name.", valueName: "name"))
    var name: String?

    @Flag(name: .long, help: "Detach every workload, or every one of --namespace.")
    var all = false

    func validate() throws {
        guard (name != nil) != all else { throw ValidationError("give a workload's name or --all") }
    }

    func run() async throws {
        let results = try await global.withAgent { agent in
            var results: [DetachResult] = []
            for target in try await targets(agent) {
                results.append(try await agent.detach(namespace: target.namespace, name: target.name))
            }
            return results
        }
        for result in results { StandardError.warn(result.warnings) }
        try Printer(format: global.output).print(ItemList(results)) { _ in
            results.map { "\($0.namespace)/\($0.name) detached\n" }.joined()
        }
    }

    private func targets(_ agent: ControlClient) async throws -> [(namespace: String, name: String)] {
        if let name { return [try global.resolve(name)] }
        return try await agent.workloads().filter { global.lists(namespace: $0.namespace) }
            .map { ($0.namespace, $0.name) }
    }
}
