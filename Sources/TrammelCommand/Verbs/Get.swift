import ArgumentParser
import TrammelConfig
import TrammelControlAPI

struct GetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get", abstract: "Shows the stored resources of a kind, or one of them.",
        discussion: HelpText.of(
            """
            With -o yaml or json it prints them as they can be applied again. Kinds go by their name, its plural or \
            its short form: VirtualService, virtualservices, vs; `all` is every kind, and its -o name prints the kind \
            before each name. ORIGIN says who may change a resource: the API (`trammel apply`), or the file in the \
            agent's configuration directory.
            """,
            examples: [
                ("Everything in every namespace", "trammel get all -A"),
                ("One, as it can be applied again", "trammel get service reviews -o yaml"),
                ("Those with a label", "trammel get services -l team=shop"),
                ("As they change", "trammel get virtualservices --watch"),
                ("Delete all of a namespace", "trammel get all -n shop -o name | xargs -rn2 trammel delete"),
            ]))

    @OptionGroup var global: GlobalOptions
    @OptionGroup var watch: WatchOption

    @Argument(help: ArgumentHelp("The kind of resource, or `all`.", valueName: "kind"))
    var kind: KindArgument

    @Argument(
        help: ArgumentHelp("The resource: a name or namespace/name.", valueName: "name"), completion: Names.resources)
    var name: String?

    @Flag(name: [.customShort("A"), .long], help: "Look in all namespaces rather than in one.")
    var allNamespaces = false

    @Option(
        name: [.customShort("l"), .long],
        help: ArgumentHelp("Only those with these labels: key=value,key!=value,key,!key.", valueName: "labels"))
    var selector: String?

    func validate() throws {
        try kind.validate()
        if allNamespaces, global.namespace != nil {
            throw ValidationError("--all-namespaces and --namespace contradict each other")
        }
        if name != nil, allNamespaces || kind.name == nil {
            throw ValidationError("a name needs a kind and one namespace")
        }
        if let selector, LabelSelector(selector) == nil {
            throw ValidationError(
                "\"\(selector)\" is no selector; write key=value, key!=value, key or !key, with commas")
        }
    }

    func run() async throws {
        let target = try name.map(global.agent.resolve)
        let scope = ResourceScope(
            kind: kind.name, namespace: target?.namespace ?? (allNamespaces ? nil : global.namespace ?? "default"),
            name: target?.name, selector: selector.flatMap { LabelSelector($0) })
        if watch.watch { return try await ResourceWatch(scope: scope, format: global.output).run(global.agent) }
        let found = try await global.agent.withAgent { try await $0.resources(scope.query) }.filter(scope.holds)
        switch global.output {
        case .table, .wide, .name:
            guard !found.isEmpty else { return StandardError.say(scope.nothing) }
            try global.printer.print(scope.listing(found))
        case .json:
            let value: JSONValue =
                name != nil && found.count == 1
                ? found[0].document
                : .object(["apiVersion": "v1", "kind": "List", "items": .array(found.map(\.document))])
            StandardOutput.say(String(decoding: try ControlJSON.encode(value, pretty: true), as: UTF8.self))
        case .yaml:
            StandardOutput.write(try found.map { try YAMLText.of($0.document) }.joined(separator: "---\n"))
        }
    }
}

/// A kind by any of its names; `name` is nil for all of them.
struct KindArgument: ExpressibleByArgument {
    let name: String?

    init(argument: String) {
        written = argument
        name = KindNames.kind(named: argument)
    }

    private let written: String

    func validate() throws {
        guard name == nil, written != "all" else { return }
        let nearest = KindNames.nearest(to: written).map { "did you mean \($0)?" }
        throw ValidationError(
            "there is no kind \"\(written)\"; \(nearest ?? "the kinds are \(KindNames.all.joined(separator: ", "))")")
    }

    static var defaultCompletionKind: CompletionKind { .list(KindNames.all + ["all"]) }
}
