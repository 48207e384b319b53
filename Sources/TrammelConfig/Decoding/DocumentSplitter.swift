/// One document of a stream, cut out before it is parsed, so that a slip in one hides no error in the next.
package struct DocumentText: Sendable {
    package var text: String
    /// The line of the stream on which `text` begins, 1-based.
    package let firstLine: Int
    /// What a stamp (`--- # trammel.dev/source: path:line`) says about where the document came from.
    package var stamp: SourceStamp?
}

/// Cuts a stream at its document markers.
///
/// YAML 1.2 section 9.1.2 forbids `---` and `...` at the start of a line everywhere but between documents, inside
/// quotes and block scalars too, so cutting before parsing is exact.
enum DocumentSplitter {
    static func split(_ text: String) -> [DocumentText] {
        var bytes = Array(text.utf8)
        var documents: [DocumentText] = []
        var start = 0
        var firstLine = 1
        var stamp: SourceStamp?
        var hasContent = false
        var line = 0
        var next = 0

        func close(at end: Int) {
            guard hasContent else { return }
            var body = String(decoding: bytes[start..<end], as: UTF8.self)
            // The parser reads from the string's own storage, which a very short string does not have.
            if body.utf8.count < 32 { body += String(repeating: "\n", count: 32) }
            documents.append(DocumentText(text: body, firstLine: firstLine, stamp: stamp))
        }

        while next < bytes.count {
            let row = next..<(bytes[next...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count)
            next = row.upperBound + 1
            line += 1
            if isMarker(UInt8(ascii: "-"), bytes[row]) {
                close(at: row.lowerBound)
                (start, firstLine) = (row.lowerBound, line)
                stamp = SourceStamp(comment: String(decoding: bytes[row].dropFirst(3), as: UTF8.self)[...])
                hasContent = holdsContent(bytes[row].dropFirst(3))
                // The marker gives way to spaces, so that columns stay true.
                for index in row.prefix(3) { bytes[index] = UInt8(ascii: " ") }
            } else if isMarker(UInt8(ascii: "."), bytes[row]) {
                close(at: row.lowerBound)
                (start, firstLine, stamp, hasContent) = (min(next, bytes.count), line + 1, nil, false)
            } else if !hasContent, bytes[row].first == UInt8(ascii: "%") {
                // A directive (`%YAML 1.2`); it says nothing that matters here.
                for index in row { bytes[index] = UInt8(ascii: " ") }
            } else if !hasContent {
                hasContent = holdsContent(bytes[row])
            }
        }
        close(at: bytes.count)
        return documents
    }

    /// Whether the line is `---` or `...`, alone or before white space.
    private static func isMarker(_ byte: UInt8, _ row: ArraySlice<UInt8>) -> Bool {
        guard row.count >= 3, row.prefix(3).allSatisfy({ $0 == byte }) else { return false }
        guard let after = row.dropFirst(3).first else { return true }
        return isBlank(after)
    }

    private static func holdsContent(_ row: ArraySlice<UInt8>) -> Bool {
        guard let first = row.first(where: { !isBlank($0) }) else { return false }
        return first != UInt8(ascii: "#")
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }
}

/// Where a document came from before it was sent: `path:line`, from the annotation `trammel.dev/source` or from a
/// comment on the document's marker line.
package struct SourceStamp: Sendable, Hashable {
    package static let annotation = "trammel.dev/source"

    package let file: String
    package let line: Int

    package init(file: String, line: Int) {
        self.file = file
        self.line = line
    }

    /// Parses `path:line`; the path may hold colons.
    package init?(_ text: some StringProtocol) {
        guard text.utf8.count <= 4096, let colon = text.lastIndex(of: ":"), colon != text.startIndex,
            let line = Int(text[text.index(after: colon)...]), (1...10_000_000).contains(line)
        else { return nil }
        self.init(file: String(text[..<colon]), line: line)
    }

    /// The annotation of a document, where it has one.
    init?(annotationOf document: ConfigNode) {
        guard let text = document["metadata"]?["annotations"]?[SourceStamp.annotation]?.string else { return nil }
        self.init(text)
    }

    /// Parses ` # trammel.dev/source: path:line`.
    init?(comment: Substring) {
        let trimmed = comment.drop { $0 == " " || $0 == "\t" }
        guard trimmed.hasPrefix("#") else { return nil }
        let body = trimmed.dropFirst().drop { $0 == " " }
        guard body.hasPrefix("\(SourceStamp.annotation): ") else { return nil }
        let place = body.dropFirst(SourceStamp.annotation.count + 2)
        self.init(place.hasSuffix("\r") ? place.dropLast() : place)
    }

    /// `text` with a stamp on the marker line of each document, for sending a file to an agent that cannot see it.
    /// Every line of a document keeps its true number, which is why the CLI stamps rather than edits annotations in.
    package static func stamp(_ text: String, file: String) -> String {
        DocumentSplitter.split(text).map { document in
            "--- # \(annotation): \(file):\(document.firstLine)\n\(document.text)"
        }.joined(separator: "")
    }
}
