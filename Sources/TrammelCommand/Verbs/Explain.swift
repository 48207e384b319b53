import ArgumentParser
import TrammelControlAPI

struct ExplainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Tells what would become of a call, step by step, and which line of which file decides.",
        discussion: HelpText.of(
            "The agent runs the very decision that traffic gets; nothing is sent anywhere.",
            examples: [
                ("A request", "trammel explain --from productpage --to http://reviews:9080/1"),
                ("One with a header", "trammel explain --from web --to http://reviews:9080/ -H 'end-user: jason'"),
                ("A connection of whatever protocol", "trammel explain --from web --to redis:6379"),
            ]))

    @OptionGroup var global: GlobalOptions

    @Option(
        name: .long,
        help: ArgumentHelp("The calling workload: a name or namespace/name.", valueName: "workload"),
        completion: Names.workloads)
    var from: String

    @Option(name: .long, help: ArgumentHelp("What it calls: a URL or host:port.", valueName: "url|host:port"))
    var to: String

    @Option(name: .long, help: ArgumentHelp("The request's method.", valueName: "method"))
    var method = "GET"

    @Option(
        name: [.customShort("H"), .long],
        help: ArgumentHelp("A header of the request. May be given many times.", valueName: "name: value"))
    var header: [HeaderArgument] = []

    func run() async throws {
        let request = ExplainRequest(
            from: try global.agent.qualified(from), to: to, method: method,
            headers: header.map { .init(name: $0.name, value: $0.value) })
        let explanation = try await global.agent.withAgent { try await $0.explain(request) }
        try global.printer.print(explanation) { _ in
            Story(style: .output, width: Terminal.size?.columns, hasMarks: Terminal.size != nil && Terminal.isUTF8)
                .text(explanation, of: request)
        }
    }
}

/// `name: value`, as curl takes it.
struct HeaderArgument: ExpressibleByArgument {
    let name: String
    let value: String

    init?(argument: String) {
        let parts = argument.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        // RFC 9110 section 5.6.2: a field name is a token.
        guard parts.count == 2, !parts[0].isEmpty,
            parts[0].unicodeScalars.allSatisfy({
                $0.isASCII && $0.value > 0x20 && $0.value < 0x7F && !"\"(),/:;<=>?@[\\]{}".unicodeScalars.contains($0)
            })
        else { return nil }
        name = String(parts[0])
        value = String(parts[1].drop { $0 == " " || $0 == "\t" })
    }
}
