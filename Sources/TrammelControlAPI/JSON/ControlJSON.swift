import FoundationEssentials
import TrammelCore

/// The one way in which messages become JSON and back, for the server, the client and the CLI alike.
package enum ControlJSON {
    /// Keys in a stable order, slashes as they are, so that two equal messages are equal bytes.
    package static func encode(_ message: some Encodable, pretty: Bool = false) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        if pretty { encoder.outputFormatting.insert(.prettyPrinted) }
        return try [UInt8](encoder.encode(message))
    }

    /// - Throws: `TrammelError` of kind `invalid`, code `malformed-json`, which names the member that is wrong.
    package static func decode<Message: Decodable>(_ type: Message.Type, from bytes: [UInt8]) throws -> Message {
        do {
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch let error as DecodingError {
            throw malformed(error)
        }
    }

    /// As `decode`, and refuses any member that the message does not have: nothing that a user writes is ignored.
    /// - Throws: `TrammelError` of kind `invalid`, code `malformed-json` or `unknown-member`.
    ///
    /// - Parameter parsed: the same bytes as a value, where the caller has it already.
    package static func decodeStrictly<Message: StrictMessage>(
        _ type: Message.Type, from bytes: [UInt8], parsed: JSONValue? = nil
    ) throws -> Message {
        guard case .object(let members) = try parsed ?? decode(JSONValue.self, from: bytes) else {
            throw TrammelError(
                .invalid, code: "malformed-json", "the body is JSON but not an object",
                hint: "send an object with the members \(type.memberNames.joined(separator: ", "))")
        }
        for name in members.keys.sorted() where !type.memberNames.contains(name) {
            let suggestion = NearestName.of(name, among: type.memberNames)
            throw TrammelError(
                .invalid, code: "unknown-member", "the body has an unknown member \"\(name)\"",
                hint: suggestion.map { "did you mean \"\($0)\"?" }
                    ?? "the members are \(type.memberNames.joined(separator: ", "))")
        }
        return try decode(type, from: bytes)
    }

    private static func malformed(_ error: DecodingError) -> TrammelError {
        func at(_ context: DecodingError.Context) -> String {
            let path = context.codingPath.map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }
            return path.isEmpty ? "the body" : "the member \(path.joined(separator: "."))"
        }
        let message: String
        switch error {
        case .keyNotFound(let key, let context):
            message = "\(at(context)) lacks \"\(key.stringValue)\""
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            message = "\(at(context)) is not what was expected: \(context.debugDescription)"
        case .dataCorrupted(let context):
            // A number out of range is told without its place, and text that is no JSON has none.
            let isText = context.debugDescription.hasPrefix("The given data was not valid JSON")
            message =
                isText
                ? "the body is not valid JSON" : "\(at(context)) is not what was expected: \(context.debugDescription)"
        @unknown default:
            message = "the body could not be read"
        }
        return TrammelError(
            .invalid, code: "malformed-json", message, hint: "send the JSON object that the API's description names")
    }
}

/// A message that people write by hand as well, and whose every member is therefore checked.
package protocol StrictMessage: Decodable {
    /// The members that the message may have, in the order in which an error lists them.
    static var memberNames: [String] { get }
}

/// Finds what a misspelt name was probably meant to be.
package enum NearestName {
    /// The candidate with the fewest edits from `name`, ignoring case; nil where none is near enough to be helpful.
    package static func of(_ name: String, among candidates: some Sequence<String>) -> String? {
        let wanted = Array(name.lowercased().utf8.prefix(64))
        var best: (name: String, distance: Int)?
        for candidate in candidates {
            let distance = edits(wanted, Array(candidate.lowercased().utf8.prefix(64)))
            if distance < best?.distance ?? Int.max { best = (candidate, distance) }
        }
        guard let best, best.distance <= max(1, wanted.count / 3) else { return nil }
        return best.name
    }

    /// Levenshtein's distance, over one row.
    private static func edits(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var row = Array(0...b.count)
        for (i, left) in a.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, right) in b.enumerated() {
                let substituted = diagonal + (left == right ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(substituted, row[j] + 1, row[j + 1] + 1)
            }
        }
        return row[b.count]
    }
}
