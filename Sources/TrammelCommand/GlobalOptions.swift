import ArgumentParser
import TrammelControlAPI

/// The options of every verb that speaks to the agent.
struct AgentOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "The agent's Unix socket. Default: $TRAMMEL_SOCKET, else \(ControlClient.defaultSocket).",
            valueName: "path"),
        completion: .file())
    var socket: String?

    @Option(
        name: [.customShort("n"), .long],
        help: ArgumentHelp(
            "The namespace meant. Default: `default`; where a verb lists what is attached or live, all of them.",
            valueName: "name"),
        completion: Names.namespaces)
    var namespace: String?

    @OptionGroup var color: ColorOption

    var socketPath: String {
        if let socket { return Files.absolute(socket) }
        return Terminal.environment("TRAMMEL_SOCKET").map(Files.absolute) ?? ControlClient.defaultSocket
    }

    /// Splits `namespace/name`; a bare name is in `--namespace` or `default`.
    func resolve(_ name: String) throws -> (namespace: String, name: String) {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count <= 2, parts.allSatisfy({ !$0.isEmpty }) else {
            throw ValidationError("\"\(name)\" is neither a name nor namespace/name")
        }
        guard parts.count == 2 else { return (namespace ?? "default", name) }
        if let namespace, namespace != parts[0] {
            throw ValidationError("\"\(name)\" and --namespace \(namespace) name two namespaces")
        }
        return (parts[0], parts[1])
    }

    /// `namespace/name`, as the API tells what is attached.
    func qualified(_ name: String) throws -> String {
        let parts = try resolve(name)
        return "\(parts.namespace)/\(parts.name)"
    }

    /// Whether something in `candidate` is to be listed.
    func lists(namespace candidate: String) -> Bool { namespace.map { $0 == candidate } ?? true }

    /// Whether what goes by `namespace/name` is to be listed.
    func lists(_ qualified: String) -> Bool {
        lists(namespace: qualified.split(separator: "/").first.map(String.init) ?? "")
    }

    /// Runs `body` with a client of the agent.
    /// - Parameter doing: what is told on a terminal where it takes more than a second.
    func withAgent<Result: Sendable>(
        _ doing: String = "waiting for the agent", _ body: (ControlClient) async throws -> Result
    ) async throws -> Result {
        try await Progress.telling(doing) { try await ControlClient.with(socket: socketPath, body) }
    }
}

/// Those, and how to print.
struct GlobalOptions: ParsableArguments {
    @OptionGroup var agent: AgentOptions

    @Option(name: [.customShort("o"), .long], help: OutputFormat.help)
    var output: OutputFormat = .table

    var namespace: String? { agent.namespace }

    var printer: Printer { Printer(format: output) }
}

/// `--watch`, of the verbs that list what changes.
struct WatchOption: ParsableArguments {
    @Flag(
        name: [.customShort("w"), .long],
        help: """
            Go on until Ctrl-C: on a terminal the list is drawn again when it changes, elsewhere each change is a line.
            """)
    var watch = false
}
