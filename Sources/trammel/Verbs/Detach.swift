import ArgumentParser
import TrammelControlAPI

struct DetachCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "detach", abstract: "Ends the capture of a workload and takes away every rule it had.",
        discussion: HelpText.of(
            """
            The workload's next connection goes where it is going. Those that the agent carries live to their end, and \
            what is left of the agent in the workload's network goes with the last of them; until then `trammel \
            workloads` lists it as draining. A connection for HTTP is closed after the answer that is under way, or \
            once it has waited for a request for five seconds.
            """,
            examples: [
                ("One of them", "trammel detach productpage"),
                ("Ending its connections, also where it drains already", "trammel detach productpage --now"),
                ("All of them", "trammel detach --all"),
            ]))

    @OptionGroup var global: GlobalOptions

    @Argument(
        help: ArgumentHelp("The workload: a name or namespace/name.", valueName: "name"),
        completion: Names.workloads)
    var name: String?

    @Flag(name: .long, help: "Detach every workload, or every one of --namespace.")
    var all = false

    @Flag(name: .long, help: "End the connections that are under way instead of letting them live to their end.")
    var now = false

    func validate() throws {
        guard (name != nil) != all else { throw ValidationError("give a workload's name or --all") }
    }

    func run() async throws {
        let results = try await global.agent.withAgent("detaching") { agent in
            var results: [DetachResult] = []
            for target in try await targets(agent) {
                results.append(try await agent.detach(namespace: target.namespace, name: target.name, now: now))
            }
            return results
        }
        for result in results { StandardError.warn(result.warnings) }
        let names = results.map { "\($0.namespace)/\($0.name)" }
        try global.printer.print(ItemList(results), names: names) { _ in
            results.map { "\($0.namespace)/\($0.name) detached\(Self.left($0.connections))\n" }.joined()
        }
    }

    private static func left(_ connections: Int) -> String {
        switch connections {
        case 0: ""
        case 1: "; 1 connection lives to its end, --now ends it"
        default: "; \(connections) connections live to their end, --now ends them"
        }
    }

    private func targets(_ agent: ControlClient) async throws -> [(namespace: String, name: String)] {
        if let name { return [try global.agent.resolve(name)] }
        return try await agent.workloads().filter { global.agent.lists(namespace: $0.namespace) }
            .map { ($0.namespace, $0.name) }
    }
}
