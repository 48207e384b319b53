import ArgumentParser
import TrammelControlAPI

struct GetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "get", abstract: "Shows the stored resources of a kind, or one of them.",
        discussion: """
            With -o yaml or json it prints them as they can be applied again. Kinds go by their name, its plural or \
            its short form: VirtualService, virtualservices, vs; `all` is every kind.
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: ArgumentHelp("The kind of resource, or `all`.", valueName: "kind"))
    var kind: KindArgument

    @Argument(help: ArgumentHelp("The resource: a name or namespace/name.", valueName: "name"))
    var name: String?

    @Flag(name: [.customShort("A"), .long], help: "Look in all namespaces rather than in one.")
    var allNamespaces = false

    func validate() throws {
        try kind.validate()
        if allNamespaces, global.namespace != nil {
            throw ValidationError("--all-namespaces and --namespace contradict each other")
        }
        if name != nil, allNamespaces || kind.name == nil {
            throw ValidationError("a name needs a kind and one namespace")
        }
    }

    func run() async throws {
        let target = try name.map(global.resolve)
        let namespace = target?.namespace ?? (allNamespaces ? nil : global.namespace ?? "default")
        let query = ResourceQuery(kind: kind.name, namespace: kind.name == nil ? nil : namespace, name: target?.name)
        let found = try await global.withAgent { try await $0.resources(query) }
            .filter { namespace == nil || Self.metadata($0, "namespace") == namespace }
        switch global.output {
        case .table, .wide:
            if found.isEmpty {
                StandardError.say("nothing found\(namespace.map { " in namespace \($0)" } ?? "")")
            } else {
                print(Self.table(found, wide: global.output == .wide), terminator: "")
            }
        case .json:
            let value: JSONValue =
                name != nil && found.count == 1
                ? found[0].document
                : .object(["apiVersion": "v1", "kind": "List", "items": .array(found.map(\.document))])
            print(String(decoding: try ControlJSON.encode(value, pretty: true), as: UTF8.self))
        case .yaml:
            print(try found.map { try YAMLText.of($0.document) }.joined(separator: "---\n"), terminator: "")
        }
    }

    private static func metadata(_ resource: StoredResource, _ member: String) -> String {
        resource.document["metadata"]?[member]?.stringValue ?? ""
    }

    static func table(_ resources: [StoredResource], wide: Bool) -> String {
        var table = Table(["NAMESPACE", "KIND", "NAME", "ORIGIN", "SOURCE"] + (wide ? ["API-VERSION"] : []))
        for resource in resources {
            let cells = [
                metadata(resource, "namespace"), resource.document["kind"]?.stringValue ?? "",
                metadata(resource, "name"), resource.origin.rawValue, resource.source?.description ?? "",
            ]
            table.add(cells + (wide ? [resource.document["apiVersion"]?.stringValue ?? ""] : []))
        }
        return table.text
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

    static var defaultCompletionKind: CompletionKind { .list(KindNames.all) }
}
