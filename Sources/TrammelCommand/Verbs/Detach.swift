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

            What a Workload resource attaches is detached by deleting the resource; --all detaches the others, and \
            fails with the names of these.
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
        // Whoever wants all of them gone is told of those that are to stay, once the others are gone.
        let (results, failures) = try await global.agent.withAgent("detaching") { agent in
            var results: [DetachResult] = []
            var failures: [CommandFailure] = []
            for target in try await targets(agent) {
                do {
                    results.append(try await agent.detach(namespace: target.namespace, name: target.name, now: now))
                } catch let problem as Problem where target.isWaiting && problem.status == 404 {
                    // What a Workload resource waits for.
                } catch {
                    guard let failure = CommandFailure(describing: error) else { throw error }
                    failures.append(failure)
                }
            }
            return (results, failures)
        }
        for result in results { StandardError.warn(result.warnings) }
        let names = results.map { "\($0.namespace)/\($0.name)" }
        try global.printer.print(ItemList(results), names: names) { _ in
            results.map { "\($0.namespace)/\($0.name) detached\(Self.left($0.connections))\n" }.joined()
        }
        if !failures.isEmpty { throw CommandFailure(failures) }
    }

    private static func left(_ connections: Int) -> String {
        switch connections {
        case 0: ""
        case 1: "; 1 connection lives to its end, --now ends it"
        default: "; \(connections) connections live to their end, --now ends them"
        }
    }

    private struct Target: Sendable {
        let namespace: String
        let name: String
        var isWaiting = false
    }

    private func targets(_ agent: ControlClient) async throws -> [Target] {
        if let name {
            let one = try global.agent.resolve(name)
            return [Target(namespace: one.namespace, name: one.name)]
        }
        return try await agent.workloads().filter { global.agent.lists(namespace: $0.namespace) }
            .map { Target(namespace: $0.namespace, name: $0.name, isWaiting: $0.state == .waiting) }
    }
}
