import TrammelCore

/// The path and the query of a request's target.
package struct RequestTarget: Sendable {
    package let path: [String]
    package let query: [String: String]

    /// - Throws: `TrammelError` of kind `invalid` where the percent-encoding is wrong or a name comes twice.
    package init(path: String, query: String?) throws {
        self.path = try path.split(separator: "/").map { try RequestTarget.decode($0) }
        var values: [String: String] = [:]
        for pair in (query ?? "").split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = try RequestTarget.decode(parts[0])
            let value = parts.count == 2 ? try RequestTarget.decode(parts[1]) : ""
            guard values.updateValue(value, forKey: name) == nil else {
                throw TrammelError(
                    .invalid, code: "bad-query", "the query names \"\(name)\" twice", hint: "name it once")
            }
        }
        self.query = values
    }

    /// RFC 3986 section 2.1.
    private static func decode(_ text: Substring) throws -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(hex), let low = rest.popFirst().flatMap(hex) else {
                throw invalid(text)
            }
            bytes.append(high << 4 | low)
        }
        guard let decoded = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else { throw invalid(text) }
        return decoded
    }

    private static func hex(_ byte: UInt8) -> UInt8? {
        Character(Unicode.Scalar(byte)).hexDigitValue.map(UInt8.init)
    }

    private static func invalid(_ text: Substring) -> TrammelError {
        TrammelError(
            .invalid, code: "bad-target", "\"\(text)\" in the request's target is not percent-encoded UTF-8",
            hint: "encode reserved bytes as %XX")
    }
}
