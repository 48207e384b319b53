import ArgumentParser
import TrammelConfig
import TrammelControlAPI

struct GraphCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "graph", abstract: "Shows who has called whom: rates, errors, latencies and bytes of each edge.",
        discussion: HelpText.of(
            """
            Rates are per second over the window, latencies milliseconds, bytes by 1024. With a namespace, the edges \
            that begin or end in it.
            """,
            examples: [
                ("Of the last five minutes", "trammel graph"),
                ("Of the last half minute", "trammel graph --window 30s"),
                ("As a picture, with Graphviz", "trammel graph -o dot | dot -Tsvg > graph.svg"),
                ("As a picture in Markdown", "trammel graph -o mermaid"),
            ]))

    @OptionGroup var agent: AgentOptions

    @Option(
        name: [.customShort("o"), .long],
        help: """
            How to print: table, wide (more columns), json, yaml, name (source and destination of each edge), dot (for \
            Graphviz) or mermaid (for Markdown).
            """)
    var output: Output = .table

    @Option(
        name: .long,
        help: ArgumentHelp("How far back to look: 1s to 1h.", valueName: "duration"))
    var window = "5m"

    enum Output: String, ExpressibleByArgument, CaseIterable {
        case table, wide, json, yaml, name, dot, mermaid
    }

    func validate() throws { _ = try Duration.nanoseconds(window, of: "--window", within: 1...3600) }

    func run() async throws {
        var graph = try await agent.withAgent { try await $0.graph(window: window) }
        graph.edges = graph.edges.filter { agent.lists($0.source) || agent.lists($0.destination) }
        switch output {
        case .dot: StandardOutput.write(GraphPicture.dot(graph))
        case .mermaid: StandardOutput.write(GraphPicture.mermaid(graph))
        default:
            let printer = Printer(format: OutputFormat(rawValue: output.rawValue) ?? .table)
            if output == .json || output == .yaml { return try printer.print(graph) { _ in "" } }
            try printer.print(EdgeTable.listing(graph))
        }
    }
}

extension Duration {
    /// What an option says, in nanoseconds.
    /// - Parameter seconds: the range that it has to be in.
    static func nanoseconds(
        _ text: String, of option: String, within seconds: ClosedRange<UInt64>
    ) throws -> UInt64 {
        switch DurationText.parse(text) {
        case .failure(let problem):
            throw ValidationError("\(option) \"\(text)\" \(problem); write a number and a unit: 250ms, 10s, 5m")
        case .success(let value):
            guard (seconds.lowerBound * 1_000_000_000...seconds.upperBound * 1_000_000_000).contains(value) else {
                throw ValidationError(
                    "\(option) \(text) is out of range: \(seconds.lowerBound)s to \(seconds.upperBound)s")
            }
            return value
        }
    }
}
