/// A document in a fraction of its tree's memory: what a resource is kept as between two looks at what was written. The
/// specs are what the agent works with; the tree is made anew for `get`, for the store and for a comparison.
struct PackedDocument: Sendable {
    /// Tag, length or count, and content of each node in the order of a walk; numbers in LEB128.
    private let bytes: [UInt8]
    /// How many nodes there are.
    let count: Int

    private enum Tag {
        static let sequence: UInt8 = 0x40
        static let mapping: UInt8 = 0x80
    }

    init(_ node: ConfigNode) {
        var writer = Writer()
        writer.put(node)
        // Exactly as long as needed: it stays.
        bytes = Array(writer.bytes[...])
        count = writer.count
    }

    var node: ConfigNode {
        bytes.withUnsafeBytes { bytes in
            var reader = Reader(bytes: bytes)
            return reader.node()
        }
    }

    private struct Writer {
        var bytes: [UInt8] = []
        var count = 0
        private var line: Int32 = 0

        mutating func put(_ node: ConfigNode) {
            count += 1
            switch node.value {
            case .scalar(let scalar):
                bytes.append(scalar.type.rawValue)
                put(node.position)
                put(scalar.text)
            case .sequence(let items):
                bytes.append(Tag.sequence)
                put(node.position)
                put(UInt32(items.count))
                for item in items { put(item) }
            case .mapping(let entries):
                bytes.append(Tag.mapping)
                put(node.position)
                put(UInt32(entries.count))
                for entry in entries {
                    put(entry.key)
                    put(entry.keyPosition)
                    put(entry.value)
                }
            }
        }

        private mutating func put(_ position: ConfigNode.Position) {
            // Zigzag: a place may lie before the one written last.
            let step = position.line &- line
            put(UInt32(bitPattern: (step << 1) ^ (step >> 31)))
            put(UInt32(bitPattern: position.column))
            line = position.line
        }

        private mutating func put(_ text: String) {
            put(UInt32(text.utf8.count))
            bytes.append(contentsOf: text.utf8)
        }

        private mutating func put(_ number: UInt32) {
            var rest = number
            while rest >= 0x80 {
                bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
                rest >>= 7
            }
            bytes.append(UInt8(rest))
        }
    }

    /// Reads what `Writer` wrote; nothing else ever gets here.
    private struct Reader {
        let bytes: UnsafeRawBufferPointer
        private var place = 0
        private var line: Int32 = 0

        init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

        mutating func node() -> ConfigNode {
            let tag = byte()
            let position = position()
            switch tag {
            case Tag.sequence:
                return ConfigNode(.sequence((0..<number()).map { _ in node() }), at: position)
            case Tag.mapping:
                let entries = (0..<number()).map { _ in
                    let key = text()
                    return ConfigNode.Entry(key: key, keyPosition: self.position(), value: node())
                }
                return ConfigNode(.mapping(entries), at: position)
            default:
                let type = ConfigScalar.ScalarType(rawValue: tag) ?? .string
                return ConfigNode(.scalar(ConfigScalar(text(), type)), at: position)
            }
        }

        private mutating func byte() -> UInt8 {
            place += 1
            return bytes[place - 1]
        }

        private mutating func number() -> UInt32 {
            var number: UInt32 = 0
            var shift: UInt32 = 0
            while true {
                let byte = byte()
                number |= UInt32(byte & 0x7F) << shift
                if byte < 0x80 { return number }
                shift += 7
            }
        }

        private mutating func position() -> ConfigNode.Position {
            let step = number()
            line &+= Int32(bitPattern: (step >> 1)) ^ -Int32(bitPattern: step & 1)
            let column = Int32(bitPattern: number())
            return ConfigNode.Position(line: Int(line), column: Int(column))
        }

        private mutating func text() -> String {
            let count = Int(number())
            place += count
            return String(decoding: bytes[(place - count)..<place], as: UTF8.self)
        }
    }
}
