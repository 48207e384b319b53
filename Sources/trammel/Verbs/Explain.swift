import ArgumentParser
import TrammelControlAPI

struct ExplainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Tells what would become of a call, step by step, and which line of which file decides.",
        discussion: """
            The agent runs the very decision that traffic gets; nothing is sent anywhere.
              trammel explain --from productpage --to http://reviews:9080/1 -H 'end-user: jason'
            """)

    @OptionGroup var global: GlobalOptions

    @Option(
        name: .long,
        help: ArgumentHelp("The calling workload: a name or namespace/name.", valueName: "workload"))
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
        let caller = try global.resolve(from)
        let request = ExplainRequest(
            from: "\(caller.namespace)/\(caller.name)", to: to, method: method,
            headers: header.map { .init(name: $0.name, value: $0.value) })
        let explanation = try await global.withAgent { try await $0.explain(request) }
        try Printer(format: global.output).print(explanation) { _ in Self.story(explanation, of: request) }
    }

    /// The steps as numbered sentences, then the outcome, then the place that decided.
    static func story(_ explanation: Explanation, of request: ExplainRequest) -> String {
        var lines = ["\(request.from) calls \(request.to):", ""]
        let width = String(explanation.steps.count).count
        for (index, step) in explanation.steps.enumerated() {
            let number = String(index + 1)
            let indent = String(repeating: " ", count: width - number.count)
            let place = [step.resource, step.source?.description].compactMap(\.self).joined(separator: ", ")
            lines.append("\(indent)\(number). \(step.title): \(step.text)\(place.isEmpty ? "" : " [\(place)]")")
        }
        lines += ["", explanation.summary]
        guard let decidedBy = explanation.decidedBy else {
            return (lines + ["No resource decided this: it is what happens where none says otherwise."])
                .joined(separator: "\n") + "\n"
        }
        let resource = explanation.steps.last { $0.source == decidedBy }?.resource
        lines.append("Decided by \(resource.map { "\($0), " } ?? "")\(decidedBy)")
        return lines.joined(separator: "\n") + "\n"
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
