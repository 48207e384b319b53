import ArgumentParser
import TrammelControlAPI

/// How a verb prints what it learnt.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable, Sendable {
    case table, wide, json, yaml, name

    static let help: ArgumentHelp = """
        How to print: table, wide (more columns), json, yaml, or name (namespace/name alone, one a line, for scripts).
        """
}

/// Things of one kind to print: all that JSON and YAML need, and how a table shows them.
struct Listing<Item: Codable & Hashable & Sendable>: Sendable {
    var items: [Item]
    /// What other verbs take to mean the item, or what it is told by in a watch.
    var name: @Sendable (Item) -> String
    /// A row for each item, in their order.
    var table: @Sendable (_ items: [Item], _ isWide: Bool) -> Table
    /// What to say where there is none.
    var nothing: String
    /// The item without what moves by itself, ages for instance: a watch tells of a change where this is another.
    var steady: @Sendable (Item) -> Item = { $0 }
}

/// Prints a message in the format asked for.
struct Printer: Sendable {
    let format: OutputFormat

    /// JSON and YAML print the whole list as the API gave it.
    func print<Item>(_ listing: Listing<Item>) throws {
        switch format {
        case .table, .wide:
            guard !listing.items.isEmpty else { return emit(listing.nothing) }
            let table = listing.table(listing.items, format == .wide)
            let lines = table.lines(style: .output, limit: Terminal.size?.columns)
            emit(lines.joined(separator: "\n"))
        case .name:
            emit(listing.items.map { listing.name($0) + "\n" }.joined())
        case .json, .yaml: try structured(ItemList(listing.items))
        }
    }

    /// JSON and YAML print the message as the API gave it; `text` is asked for the rest, with `wide` or without.
    /// - Parameter names: what `-o name` prints, a line each; nil where nothing has a name.
    func print(_ message: some Encodable, names: [String]? = nil, text: (_ isWide: Bool) -> String) throws {
        switch format {
        case .table, .wide: emit(text(format == .wide))
        case .name:
            guard let names else {
                throw CommandFailure(
                    "-o name: what this verb prints has no names", hint: "use -o table, wide, json or yaml",
                    status: CommandFailure.usage)
            }
            emit(names.map { $0 + "\n" }.joined())
        case .json, .yaml: try structured(message)
        }
    }

    private func structured(_ message: some Encodable) throws {
        emit(
            format == .yaml
                ? try YAMLText.of(message)
                : String(decoding: try ControlJSON.encode(message, pretty: true), as: UTF8.self))
    }

    private func emit(_ text: String) {
        StandardOutput.write(text.isEmpty || text.hasSuffix("\n") ? text : text + "\n")
    }
}
