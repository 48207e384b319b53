import TrammelCore

/// The filter as the query of `GET /v1/tap`.
extension TapFilter {
    package static let queryNames = [
        "workload", "source", "destination", "service", "protocol", "method", "path", "status", "slowerThan", "sample",
    ]

    /// What the client sends; what is not set is left out.
    package var query: [(name: String, value: String)] {
        let texts: [(String, String?)] = [
            ("workload", workload), ("source", source), ("destination", destination), ("service", service),
            ("protocol", `protocol`), ("method", method), ("path", path), ("status", status),
            ("slowerThan", slowerThan.map { "\($0)ms" }), ("sample", sample == 1 ? nil : "\(sample)"),
        ]
        return texts.compactMap { name, value in value.map { (name: name, value: $0) } }
    }

    /// - Throws: `TrammelError` of kind `invalid` for a value that nothing could ever fit.
    package init(query: [String: String]) throws {
        self.init(
            workload: query["workload"], source: query["source"], destination: query["destination"],
            service: query["service"], protocol: query["protocol"], method: query["method"], path: query["path"],
            status: query["status"])
        for name in Self.queryNames where query[name] == "" {
            throw Self.invalid(name, "", "name one or leave \(name) out")
        }
        if let name = `protocol`, !["http", "tcp", "udp"].contains(name) {
            throw Self.invalid("protocol", name, "write protocol=http, protocol=tcp or protocol=udp")
        }
        if let status, !Self.isStatus(status) {
            throw Self.invalid("status", status, "write a code (503), a class (5xx), or errors")
        }
        if let path, !path.hasPrefix("/") {
            throw Self.invalid("path", path, "a path begins with a slash: path=/\(path)")
        }
        if let text = query["slowerThan"] {
            guard let milliseconds = Self.milliseconds(text) else {
                throw Self.invalid("slowerThan", text, "write a number and a unit: slowerThan=250ms, slowerThan=2s")
            }
            slowerThan = milliseconds
        }
        if let text = query["sample"] {
            guard let part = Self.number(text), part > 0, part <= 1 else {
                throw Self.invalid("sample", text, "write the part that is to be shown: sample=0.1 for a tenth")
            }
            sample = part
        }
    }

    /// `503`, `5xx`, `errors`.
    private static func isStatus(_ text: String) -> Bool {
        if text == "errors" { return true }
        let bytes = Array(text.utf8)
        guard bytes.count == 3, (UInt8(ascii: "1")...UInt8(ascii: "5")).contains(bytes[0]) else { return false }
        return text.hasSuffix("xx") || bytes.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }

    /// `250ms`, `1.5s`, `2m`.
    private static func milliseconds(_ text: String) -> Double? {
        for (unit, factor) in [("ms", 1.0), ("s", 1000), ("m", 60_000)] where text.hasSuffix(unit) {
            return number(String(text.dropLast(unit.count))).map { $0 * factor }
        }
        return nil
    }

    /// Digits with at most one point: no sign, no exponent, nothing endless.
    private static func number(_ text: String) -> Double? {
        guard text.utf8.count <= 32, text.utf8.allSatisfy({ $0 == UInt8(ascii: ".") || (48...57).contains($0) }) else {
            return nil
        }
        return Double(text)
    }

    private static func invalid(_ name: String, _ value: String, _ hint: String) -> TrammelError {
        TrammelError(.invalid, code: "bad-query", "\(name)=\(value) is nothing to filter by", hint: hint)
    }
}
