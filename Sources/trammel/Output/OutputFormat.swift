import ArgumentParser
import TrammelControlAPI

/// How a verb prints what it learnt.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case table, wide, json, yaml
}

/// Prints a message in the format asked for.
struct Printer {
    let format: OutputFormat

    /// JSON and YAML print the message as the API gave it; `table` is asked for the rest, with `wide` or without.
    func print(_ message: some Encodable, table: (_ wide: Bool) -> String) throws {
        switch format {
        case .table, .wide: emit(table(format == .wide))
        case .json: emit(String(decoding: try ControlJSON.encode(message, pretty: true), as: UTF8.self))
        case .yaml: emit(try YAMLText.of(message))
        }
    }

    private func emit(_ text: String) {
        Swift.print(text, terminator: text.isEmpty || text.hasSuffix("\n") ? "" : "\n")
    }
}
