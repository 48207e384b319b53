import TrammelCore

/// A request written as text, parsed by the simplest means, so that tests of decisions read like requests.
struct RequestText: ExpressibleByStringLiteral {
    private let bytes: [UInt8]
    private let fields: [HeaderField]
    private let method: ByteRange
    private let target: ByteRange
    private let authority: ByteRange
    private let scheme: RequestView.Scheme

    /// `GET /path` and then a `name: value` per line; the authority is taken from `host`.
    init(_ text: String, scheme: RequestView.Scheme = .http) {
        let bytes = Array(text.utf8)
        var fields: [HeaderField] = []
        var authority = ByteRange.empty
        var lines: [ByteRange] = []
        var start = 0
        for (index, byte) in bytes.enumerated() where byte == UInt8(ascii: "\n") {
            lines.append(ByteRange(start, upTo: index))
            start = index + 1
        }
        lines.append(ByteRange(start, upTo: bytes.count))

        let first = lines[0]
        let space = bytes[first.lower..<first.upper].firstIndex(of: UInt8(ascii: " ")) ?? first.upper
        method = ByteRange(first.lower, upTo: space)
        target = ByteRange(min(space + 1, first.upper), upTo: first.upper)
        for line in lines.dropFirst() where !line.isEmpty {
            guard let colon = bytes[line.lower..<line.upper].firstIndex(of: UInt8(ascii: ":")) else { continue }
            var value = colon + 1
            while value < line.upper, bytes[value] == UInt8(ascii: " ") { value += 1 }
            let name = ByteRange(line.lower, upTo: colon)
            let known = bytes.withUnsafeBytes { FieldName.recognise($0[name]) }
            fields.append(HeaderField(name: name, value: ByteRange(value, upTo: line.upper), known: known))
            if known == .host { authority = ByteRange(value, upTo: line.upper) }
        }
        self.bytes = bytes
        self.fields = fields
        self.authority = authority
        self.scheme = scheme
    }

    init(stringLiteral text: String) { self.init(text) }

    func withView<Result>(_ body: (RequestView) throws -> Result) rethrows -> Result {
        try bytes.withUnsafeBytes { bytes in
            try fields.withUnsafeBufferPointer { fields in
                try body(
                    RequestView(
                        bytes: bytes, fields: fields, method: method, target: target, authority: authority,
                        scheme: scheme))
            }
        }
    }
}
