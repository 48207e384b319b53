import ArgumentParser
import Glibc
import TrammelControlAPI

/// The options of every verb that speaks to the agent.
struct GlobalOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "The agent's Unix socket. Default: $TRAMMEL_SOCKET, else \(ControlClient.defaultSocket).",
            valueName: "path"))
    var socket: String?

    @Option(name: [.customShort("o"), .long], help: "How to print: table, wide (more columns), json or yaml.")
    var output: OutputFormat = .table

    @Option(
        name: [.customShort("n"), .long],
        help: ArgumentHelp(
            "The namespace meant. Default: `default`; where a verb lists what is attached or live, all of them.",
            valueName: "name"))
    var namespace: String?

    var socketPath: String {
        if let socket { return Files.absolute(socket) }
        if let named = getenv("TRAMMEL_SOCKET").map({ String(cString: $0) }), !named.isEmpty {
            return Files.absolute(named)
        }
        return ControlClient.defaultSocket
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

    /// Whether something in `candidate` is to be listed.
    func lists(namespace candidate: String) -> Bool { namespace.map { $0 == candidate } ?? true }

    /// Runs `body` with a client of the agent.
    func withAgent<Result: Sendable>(_ body: (ControlClient) async throws -> Result) async throws -> Result {
        try await ControlClient.with(socket: socketPath, body)
    }
}
