import Yams

/// How much of a file is read before it is refused. The bounds are far above what people write by hand or machine.
package struct DocumentLimits: Sendable {
    /// Bytes of one batch.
    package var bytes = 32 << 20
    /// Mappings and sequences inside each other.
    package var depth = 100

    package init() {}
}

/// Reads YAML (and so JSON) into trees with positions. The one place that knows the parser.
package enum DocumentReader {
    /// A document, or why it could not be read; the other documents of the stream are read all the same.
    package typealias Outcome = Result<Document, ConfigError>

    package struct Document: Sendable {
        package let root: ConfigNode
        package let stamp: SourceStamp?
    }

    /// Reads every document of `bytes`; empty ones are left out.
    /// - Parameter readsStamps: whether a comment on a document's marker line says where it came from.
    package static func read(
        _ bytes: some Collection<UInt8>, file: String, limits: DocumentLimits = DocumentLimits(),
        readsStamps: Bool = true
    ) -> [Outcome] {
        func failure(_ code: ConfigError.Code, line: Int, column: Int = 1, _ message: String, _ hint: String)
            -> [Outcome]
        {
            let place = SourceLocation(file: file, line: line, column: column)
            return [.failure(ConfigError(code, location: place, message, hint: hint))]
        }
        guard bytes.count <= limits.bytes else {
            return failure(
                .tooLarge, line: 1, "found \(bytes.count) bytes; at most \(limits.bytes) are read at once",
                "split the file")
        }
        if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) {
            return failure(.syntax, line: 1, "found UTF-16 text; expected UTF-8", "save the file as UTF-8")
        }
        guard var text = String(validating: bytes, as: UTF8.self) else {
            let (line, column) = firstInvalidUTF8(bytes)
            return failure(
                .syntax, line: line, column: column, "found a byte that is not UTF-8", "save the file as UTF-8")
        }
        if text.unicodeScalars.first == "\u{FEFF}" { text.unicodeScalars.removeFirst() }
        if let (line, column, scalar) = firstControlCharacter(text) {
            return failure(
                .syntax, line: line, column: column,
                "found the control character U+\(hex(scalar)), which YAML does not allow", "remove it")
        }
        return DocumentSplitter.split(text).compactMap { document in
            var document = document
            if !readsStamps { document.stamp = nil }
            return read(document, file: file, limits: limits)
        }
    }

    private static func read(_ document: DocumentText, file: String, limits: DocumentLimits) -> Outcome? {
        let source = document.stamp?.file ?? file
        // A stamp stands on the marker's line and tells the number of the next.
        let shift = document.stamp.map { $0.line - 2 } ?? document.firstLine - 1
        do throws(ConfigError) {
            let text = KeyGuard.withoutSurrogateEscapes(document.text)
            if let line = KeyGuard.lineOfComplexKey(in: text) {
                throw ConfigError(
                    .syntax, location: SourceLocation(file: source, line: line + shift),
                    "found a mapping key that is an alias or a collection; expected a plain name",
                    hint: "write the key out")
            }
            var builder = TreeBuilder(file: source, shift: shift, limits: limits, bytes: text.utf8.count)
            guard let root = try parse(text, file: source, shift: shift) else { return nil }
            let tree = try builder.build(root)
            return tree.isNull ? nil : .success(Document(root: tree, stamp: document.stamp))
        } catch {
            return .failure(error)
        }
    }

    private static func parse(_ text: String, file: String, shift: Int) throws(ConfigError) -> Node? {
        do {
            // No resolver: what a scalar is taken for is decided by ConfigScalar, and without regular expressions.
            return try Parser(yaml: text, resolver: .basic, encoding: .utf8).singleRoot()
        } catch let error as YamlError {
            throw SyntaxMessage.describe(error, text: text, file: file, shift: shift)
        } catch {
            throw ConfigError(
                .syntax, location: SourceLocation(file: file, line: 1 + shift), "cannot be read as YAML: \(error)")
        }
    }

    private static func firstInvalidUTF8(_ bytes: some Collection<UInt8>) -> (line: Int, column: Int) {
        var line = 1, column = 1
        var decoder = UTF8()
        var iterator = bytes.makeIterator()
        while case .scalarValue(let scalar) = decoder.decode(&iterator) {
            column += 1
            if scalar == "\n" { (line, column) = (line + 1, 1) }
        }
        return (line, column)
    }

    private static func firstControlCharacter(_ text: String) -> (line: Int, column: Int, Unicode.Scalar)? {
        let isControl = { (byte: UInt8) in byte < 0x20 && byte != 0x0A && byte != 0x0D && byte != 0x09 || byte == 0x7F }
        guard text.utf8.contains(where: isControl) else { return nil }
        var line = 1, column = 1
        for scalar in text.unicodeScalars {
            if scalar.isASCII, isControl(UInt8(scalar.value)) { return (line, column, scalar) }
            column += 1
            if scalar == "\n" { (line, column) = (line + 1, 1) }
        }
        return nil
    }

    private static func hex(_ scalar: Unicode.Scalar) -> String {
        let digits = String(scalar.value, radix: 16, uppercase: true)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }
}

/// Turns the parser's nodes into `ConfigNode`s: shifts lines, resolves scalars, merges `<<`, bounds what aliases
/// expand to.
private struct TreeBuilder {
    let file: String
    let shift: Int
    let limits: DocumentLimits
    /// Nodes that may still be built. A document without aliases has no more of them than twice its bytes.
    var budget: Int

    init(file: String, shift: Int, limits: DocumentLimits, bytes: Int) {
        self.file = file
        self.shift = shift
        self.limits = limits
        budget = 2 * bytes + 10_000
    }

    mutating func build(_ node: Node, depth: Int = 0) throws(ConfigError) -> ConfigNode {
        let position = position(node)
        budget -= 1
        guard budget > 0 else {
            throw error(.tooLarge, position, "aliases expand to more than the document may hold", "write fewer aliases")
        }
        guard depth <= limits.depth else {
            throw error(
                .tooLarge, position, "found more than \(limits.depth) levels of nesting", "flatten the document")
        }
        switch node {
        case .scalar(let scalar):
            return ConfigNode(.scalar(try resolve(scalar, at: position)), at: position)
        case .sequence(let sequence):
            try check(sequence.tag, is: ["seq"], at: position)
            var items: [ConfigNode] = []
            items.reserveCapacity(sequence.count)
            for item in sequence { items.append(try build(item, depth: depth + 1)) }
            return ConfigNode(.sequence(items), at: position)
        case .mapping(let mapping):
            try check(mapping.tag, is: ["map"], at: position)
            return ConfigNode(.mapping(try entries(mapping, depth: depth)), at: position)
        case .alias:
            throw error(.syntax, position, "found an alias that cannot be resolved", "write the value out")
        }
    }

    private mutating func entries(_ mapping: Node.Mapping, depth: Int) throws(ConfigError) -> [ConfigNode.Entry] {
        var entries: [ConfigNode.Entry] = []
        entries.reserveCapacity(mapping.count)
        var merged: [ConfigNode] = []
        for (key, value) in mapping {
            guard case .scalar(let name) = key else {
                throw error(.syntax, position(key), "found a mapping key that is a collection", "expected a plain name")
            }
            let built = try build(value, depth: depth + 1)
            if name.string == "<<", name.style == .plain {
                merged.append(built)
            } else {
                entries.append(.init(key: name.string, keyPosition: position(key), value: built))
            }
        }
        if !merged.isEmpty { try merge(merged, into: &entries) }
        return entries
    }

    /// Merge keys (yaml.org/type/merge.html): what is written out wins, then the earlier of several.
    private func merge(_ sources: [ConfigNode], into entries: inout [ConfigNode.Entry]) throws(ConfigError) {
        var seen = Set(entries.map(\.key))
        for source in sources {
            let parts: [ConfigNode]
            if case .sequence(let list) = source.value { parts = list } else { parts = [source] }
            for part in parts {
                guard case .mapping(let inherited) = part.value else {
                    throw error(.syntax, part.position, "found a merge key (<<) over something that is no mapping", nil)
                }
                for entry in inherited where seen.insert(entry.key).inserted { entries.append(entry) }
            }
        }
    }

    private func resolve(_ scalar: Node.Scalar, at position: ConfigNode.Position) throws(ConfigError) -> ConfigScalar {
        let tag = scalar.tag.description
        switch tag {
        case "":
            return scalar.style == .plain ? ConfigScalar(plain: scalar.string) : ConfigScalar(string: scalar.string)
        case "tag:yaml.org,2002:str", "!": return ConfigScalar(string: scalar.string)
        case "tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:bool", "tag:yaml.org,2002:null":
            return ConfigScalar(plain: scalar.string)
        default:
            throw error(.syntax, position, "found the YAML tag \(quoted(tag))", "remove it; tags have no meaning here")
        }
    }

    private func check(_ tag: Tag, is known: [String], at position: ConfigNode.Position) throws(ConfigError) {
        let text = tag.description
        if text.isEmpty || known.contains(where: { text == "tag:yaml.org,2002:\($0)" }) { return }
        throw error(.syntax, position, "found the YAML tag \(quoted(text))", "remove it; tags have no meaning here")
    }

    private func position(_ node: Node) -> ConfigNode.Position {
        let mark = node.mark
        return ConfigNode.Position(line: (mark?.line ?? 1) + shift, column: mark?.column ?? 1)
    }

    private func error(
        _ code: ConfigError.Code, _ position: ConfigNode.Position, _ message: String, _ hint: String?
    ) -> ConfigError {
        let place = SourceLocation(file: file, line: Int(position.line), column: Int(position.column))
        return ConfigError(code, location: place, message, hint: hint)
    }
}
