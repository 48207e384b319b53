import ArgumentParser
import Glibc
import TrammelControlAPI

struct TopCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top",
        abstract: "Shows the traffic as it is: requests, errors, latencies, bytes and open connections.",
        discussion: HelpText.of(
            """
            Above the workloads with what each answers and asks, below each edge between two of them; rates are per \
            second, latencies milliseconds, bytes by 1024. A workload's p99 is that of its slowest edge. The screen is \
            read again every second; q ends it, and the letters in its last line choose the order. Where standard \
            output is no terminal it is printed once.
            """,
            examples: [
                ("Live, the busiest first", "trammel top"),
                ("Where the errors are", "trammel top --sort errors"),
                ("Once, of the last minute", "trammel top --once --window 1m"),
                ("For a script", "trammel top --once -o json"),
            ]))

    @OptionGroup var global: GlobalOptions

    @Flag(name: .long, help: "Print it once instead of a screen that goes on.")
    var once = false

    @Option(name: .long, help: "What stands first: rate, errors, p99, bytes, open or name.")
    var sort: TrafficView.Order = .rate

    @Option(name: .long, help: ArgumentHelp("How far back rates and latencies look: 1s to 1h.", valueName: "duration"))
    var window = "10s"

    func validate() throws { _ = try Duration.nanoseconds(window, of: "--window", within: 1...3600) }

    func run() async throws {
        let isScreen =
            !once && [.table, .wide].contains(global.output) && Terminal.isTerminal(STDOUT_FILENO)
            && Terminal.isTerminal(STDIN_FILENO) && Terminal.isCapable
        if isScreen {
            var screen = TopScreen(
                socket: global.agent.socketPath, window: window, namespace: global.namespace, order: sort)
            return try await screen.run()
        }
        let (graph, connections) = try await global.agent.withAgent { agent in
            (try await agent.graph(window: window), try await agent.connections())
        }
        let view = Self.view(graph, connections, namespace: global.namespace, order: sort)
        try global.printer.print(view, names: view.workloads.map(\.name)) { _ in
            TopPage(view: view, order: sort, style: .output).text(limit: Terminal.size?.columns)
        }
    }

    /// Of all traffic, or of what begins or ends in a namespace.
    static func view(
        _ graph: TrafficGraph, _ connections: [LiveConnection], namespace: String?, order: TrafficView.Order
    ) -> TrafficView {
        guard let namespace else { return TrafficView(graph, connections, order: order) }
        let prefix = namespace + "/"
        var graph = graph
        graph.edges = graph.edges.filter { $0.source.hasPrefix(prefix) || $0.destination.hasPrefix(prefix) }
        return TrafficView(
            graph, connections.filter { $0.workload.hasPrefix(prefix) || $0.peer?.hasPrefix(prefix) == true },
            order: order)
    }
}

extension TrafficView.Order: ExpressibleByArgument {}
