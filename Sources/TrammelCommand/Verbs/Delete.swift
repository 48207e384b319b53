import ArgumentParser
import TrammelControlAPI

struct DeleteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Deletes resources that were applied, by name or by the files they came from.",
        discussion: HelpText.of(
            """
            What belongs to the agent's configuration directory is refused: remove it from its file. What is there \
            goes, whatever else is not there.
            """,
            examples: [
                ("By kind and name", "trammel delete vs reviews"),
                ("Several of another namespace", "trammel delete -n shop dr reviews ratings"),
                ("What a file names", "trammel delete -f reviews.yaml"),
            ]))

    @OptionGroup var global: GlobalOptions

    @Argument(help: ArgumentHelp("The kind of resource.", valueName: "kind"))
    var kind: KindArgument?

    @Argument(
        help: ArgumentHelp("The resources: names or namespace/name.", valueName: "name"), completion: Names.resources)
    var names: [String] = []

    @Option(
        name: [.customShort("f"), .customLong("file")],
        help: ArgumentHelp(
            "Delete what this file, standard input (`-`) or directory names. May be given many times.",
            valueName: "file|-|dir"),
        completion: .file())
    var file: [String] = []

    @Flag(name: [.customShort("R"), .long], help: "Read the directories below each directory too.")
    var recursive = false

    func validate() throws {
        guard file.isEmpty else {
            if kind != nil { throw ValidationError("give a kind and names, or --file, not both") }
            return
        }
        guard let kind else { throw ValidationError("give a kind and names, or --file") }
        try kind.validate()
        guard kind.name != nil else { throw ValidationError("`all` deletes nothing; name a kind") }
        guard !names.isEmpty else { throw ValidationError("name the resources to delete") }
    }

    func run() async throws {
        let targets = try targets()
        // What is there goes, and is told of, whatever else is not there.
        let (results, failures) = try await global.agent.withAgent("deleting") { agent in
            var results: [ResourceResult] = []
            var failures: [CommandFailure] = []
            for target in targets {
                do {
                    results.append(
                        try await agent.deleteResource(
                            kind: target.kind, namespace: target.namespace, name: target.name))
                } catch let error {
                    guard let failure = CommandFailure(describing: error) else { throw error }
                    failures.append(failure)
                }
            }
            return (results, failures)
        }
        let names = results.map { "\($0.namespace)/\($0.name)" }
        try global.printer.print(ItemList(results), names: names) { _ in
            results.map { "\($0.kind) \($0.namespace)/\($0.name) \($0.outcome.rawValue)\n" }.joined()
        }
        if !failures.isEmpty { throw CommandFailure(failures) }
    }

    private func targets() throws -> [DocumentIdentity] {
        if let kind = kind?.name {
            return try names.map { name in
                let target = try global.agent.resolve(name)
                return DocumentIdentity(kind: kind, namespace: target.namespace, name: target.name)
            }
        }
        return try Files.read(file, recursive: recursive).flatMap {
            try DocumentIdentity.all(in: $0, defaultNamespace: global.namespace ?? "default")
        }
    }
}
