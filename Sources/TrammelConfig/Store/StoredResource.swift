import TrammelCore

/// A resource as a row: its canonical document as JSON that people can read with any tool, and beside it the places of
/// its parts in the file it came from, so that messages after a restart still name the line.
struct StoredResource {
    let key: (kind: String, namespace: String, name: String)
    let origin: String
    let created: UInt64
    let version: UInt64
    let document: String
    let places: [UInt8]
    let file: String

    init(_ entry: ResourceSet.Entry) {
        let resource = entry.resource
        key = (resource.key.kind.rawValue, resource.key.namespace, resource.key.name)
        origin = entry.origin.rawValue
        created = entry.created
        version = entry.version
        // The namespace is written out: the default may be another one after a restart.
        let document = resource.document.settingMetadata([("namespace", resource.key.namespace)])
        self.document = document.json()
        places = NodePlaces.encode(document)
        file = resource.location.file
    }

    init(_ row: borrowing Row) {
        key = (row.text(0), row.text(1), row.text(2))
        origin = row.text(3)
        created = UInt64(clamping: row.integer(4))
        version = UInt64(clamping: row.integer(5))
        document = row.text(6)
        places = row.bytes(7)
        file = row.text(8)
    }

    /// Without the sum.
    var values: [SQLValue] {
        [
            .text(key.kind), .text(key.namespace), .text(key.name), .text(origin), .integer(Int64(clamping: created)),
            .integer(Int64(clamping: version)), .text(document), .blob(places), .text(file),
        ]
    }

    var title: String { "\(key.kind) \(key.namespace)/\(key.name)" }

    func decode(_ options: DecodingOptions) throws(ConfigErrors) -> ResourceSet.Entry {
        func fail(_ message: String) -> ConfigErrors {
            ConfigErrors(errors: [
                ConfigError(
                    .syntax, kind: key.kind, namespace: key.namespace, name: key.name,
                    location: SourceLocation(file: file, line: 1), message, hint: "apply it again")
            ])
        }
        guard let root = try? DocumentReader.read(document.utf8, file: file).first?.get().root,
            let origin = ResourceSet.Origin(rawValue: origin)
        else { throw fail("what the store holds of it cannot be read") }
        let placed = NodePlaces.apply(places, to: root) ?? root
        let resource = try ResourceDecoder.decode(stored: placed, file: file, options: options)
        guard resource.key.description == "\(key.kind) \(key.namespace)/\(key.name)" else {
            throw fail("the store holds \(resource.key) in its place")
        }
        return ResourceSet.Entry(resource: resource, origin: origin, created: created, version: version)
    }
}

/// Lines and columns of a tree's nodes and keys, in the order of a walk, as differences in LEB128.
enum NodePlaces {
    static func encode(_ node: ConfigNode) -> [UInt8] {
        var bytes: [UInt8] = []
        var line: Int32 = 0
        func put(_ position: ConfigNode.Position) {
            append(position.line &- line, to: &bytes)
            append(position.column, to: &bytes)
            line = position.line
        }
        func walk(_ node: ConfigNode) {
            put(node.position)
            switch node.value {
            case .scalar: break
            case .sequence(let items): items.forEach(walk)
            case .mapping(let entries):
                for entry in entries {
                    put(entry.keyPosition)
                    walk(entry.value)
                }
            }
        }
        walk(node)
        return bytes
    }

    /// The tree with its old places; nil when the bytes are of another tree.
    static func apply(_ bytes: [UInt8], to node: ConfigNode) -> ConfigNode? {
        var rest = bytes[...]
        var line: Int32 = 0
        func take() -> ConfigNode.Position? {
            guard let step = number(from: &rest), let column = number(from: &rest) else { return nil }
            line &+= step
            return ConfigNode.Position(line: Int(line), column: Int(column))
        }
        func walk(_ node: ConfigNode) -> ConfigNode? {
            guard let position = take() else { return nil }
            switch node.value {
            case .scalar: return ConfigNode(node.value, at: position)
            case .sequence(let items):
                var placed: [ConfigNode] = []
                for item in items {
                    guard let item = walk(item) else { return nil }
                    placed.append(item)
                }
                return ConfigNode(.sequence(placed), at: position)
            case .mapping(let entries):
                var placed: [ConfigNode.Entry] = []
                for entry in entries {
                    guard let key = take(), let value = walk(entry.value) else { return nil }
                    placed.append(.init(key: entry.key, keyPosition: key, value: value))
                }
                return ConfigNode(.mapping(placed), at: position)
            }
        }
        guard let placed = walk(node), rest.isEmpty else { return nil }
        return placed
    }

    /// Zigzag, then seven bits a byte, the lowest first.
    private static func append(_ number: Int32, to bytes: inout [UInt8]) {
        var rest = UInt32(bitPattern: (number << 1) ^ (number >> 31))
        while rest >= 0x80 {
            bytes.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    private static func number(from bytes: inout ArraySlice<UInt8>) -> Int32? {
        var value: UInt32 = 0
        var shift: UInt32 = 0
        while let byte = bytes.popFirst() {
            guard shift < 32 else { return nil }
            value |= UInt32(byte & 0x7F) << shift
            if byte < 0x80 { return Int32(bitPattern: value >> 1) ^ -Int32(bitPattern: value & 1) }
            shift += 7
        }
        return nil
    }
}
