import ArgumentParser
import TrammelConfig
import TrammelControlAPI

struct TapCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tap", abstract: "Shows requests and connections as they end, one a line, until Ctrl-C.",
        discussion: HelpText.of(
            """
            What is shown fits all filters that are given. Where more happens than this reader takes in, the agent \
            leaves events out rather than wait, and how many is said. -o wide adds where each went and which route it \
            took; json is one object a line.
            """,
            examples: [
                ("Everything", "trammel tap"),
                ("What fails on the way to one service", "trammel tap --service reviews --status errors"),
                ("What one workload calls that takes its time", "trammel tap --from web --slower-than 250ms"),
                ("Ten of a path, then end", "trammel tap --path /api --limit 10"),
                ("A tenth of everything, for a script", "trammel tap --sample 0.1 -o json"),
            ]))

    @OptionGroup var agent: AgentOptions
    @OptionGroup(title: "What to show") var filter: TapOptions

    @Option(name: [.customShort("o"), .long], help: "How to print: table, wide (more columns) or json.")
    var output: Output = .table

    @Option(
        name: .long, help: ArgumentHelp("End after so many. Default: none, go on until Ctrl-C.", valueName: "number"))
    var limit: UInt64?

    enum Output: String, ExpressibleByArgument, CaseIterable {
        case table, wide, json
    }

    func validate() throws {
        if limit == 0 { throw ValidationError("--limit 0 would show nothing; leave it out to go on until Ctrl-C") }
    }

    func run() async throws {
        let wanted = try filter.filter(agent)
        try await ControlClient.with(socket: agent.socketPath) { client in
            var display = TapDisplay(output: output)
            var shown: UInt64 = 0
            for try await event in try await client.tap(wanted) {
                try display.show(event)
                shown += 1
                if let limit, shown >= limit { return }
            }
            throw CommandFailure("the agent has ended", hint: "see `systemctl status trammeld`", status: 3)
        }
    }
}

/// The filters of the API, under the names that people give them.
struct TapOptions: ParsableArguments {
    @Option(
        name: .long, help: ArgumentHelp("What this workload calls or answers.", valueName: "workload"),
        completion: Names.workloads)
    var workload: String?

    @Option(
        name: .long, help: ArgumentHelp("What this workload calls.", valueName: "workload"),
        completion: Names.workloads)
    var from: String?

    @Option(
        name: .long, help: ArgumentHelp("What this workload answers.", valueName: "workload"),
        completion: Names.workloads)
    var to: String?

    @Option(
        name: .long, help: ArgumentHelp("Calls of this service: its name or host.", valueName: "service"),
        completion: Names.services)
    var service: String?

    @Option(
        name: .customLong("protocol"), help: ArgumentHelp("http, tcp or udp.", valueName: "protocol"),
        completion: .list(["http", "tcp", "udp"]))
    var transport: String?

    @Option(name: .long, help: ArgumentHelp("Requests with this method.", valueName: "method"))
    var method: String?

    @Option(name: .long, help: ArgumentHelp("Requests whose path begins so.", valueName: "path"))
    var path: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "503, 5xx, or errors: 4xx, 5xx and what was cut off.", valueName: "status"),
        completion: .list(["2xx", "3xx", "4xx", "5xx", "errors"]))
    var status: String?

    @Option(name: .long, help: ArgumentHelp("What took at least so long: 250ms, 2s.", valueName: "duration"))
    var slowerThan: String?

    @Option(
        name: .long, help: ArgumentHelp("The part of what fits that is shown, above 0 and up to 1.", valueName: "part"))
    var sample = 1.0

    func validate() throws {
        if let transport, !["http", "tcp", "udp"].contains(transport) {
            throw ValidationError("--protocol \"\(transport)\" is none of http, tcp and udp")
        }
        if let path, !path.hasPrefix("/") { throw ValidationError("--path \"\(path)\" begins with no slash: /\(path)") }
        if let status, !Self.isStatus(status) {
            throw ValidationError("--status \"\(status)\" is no status; write a code (503), a class (5xx) or errors")
        }
        if let slowerThan { _ = try Duration.nanoseconds(slowerThan, of: "--slower-than", within: 0...86_400) }
        guard sample > 0, sample <= 1 else {
            throw ValidationError("--sample \(sample) is no part; write 0.1 for a tenth, 1 for all")
        }
    }

    func filter(_ agent: AgentOptions) throws -> TapFilter {
        TapFilter(
            workload: try workload.map(agent.qualified), source: try from.map(agent.qualified),
            destination: try to.map(agent.qualified), service: service, protocol: transport,
            method: method?.uppercased(), path: path, status: status,
            slowerThan: try slowerThan.map {
                Double(try Duration.nanoseconds($0, of: "--slower-than", within: 0...86_400)) / 1_000_000
            }, sample: sample)
    }

    private static func isStatus(_ text: String) -> Bool {
        if text == "errors" { return true }
        let bytes = Array(text.utf8)
        guard bytes.count == 3, (UInt8(ascii: "1")...UInt8(ascii: "5")).contains(bytes[0]) else { return false }
        return text.hasSuffix("xx") || bytes.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }
}
