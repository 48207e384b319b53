/// The two text formats that Prometheus reads.
package enum ExpositionFormat: Hashable, Sendable {
    /// The classic text format, version 0.0.4.
    case classic
    /// OpenMetrics 1.0.0.
    case openMetrics

    package var contentType: String {
        switch self {
        case .classic: "text/plain; version=0.0.4; charset=utf-8"
        case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
        }
    }

    /// What an Accept header asks for (RFC 9110 section 12.5.1). OpenMetrics only when it is named, in a version that is
    /// spoken here, and liked no less than plain text; everything else gets the classic format.
    package init(accept: String?) {
        var openMetrics = 0.0
        var classic = 0.0
        for range in (accept ?? "").split(separator: ",") {
            let parts = range.split(separator: ";").map(Self.trimmed)
            guard let type = parts.first?.lowercased() else { continue }
            let quality = Self.parameter("q", in: parts).flatMap(Double.init) ?? 1
            switch type {
            case "application/openmetrics-text":
                let version = Self.parameter("version", in: parts)
                if version == nil || version == "1.0.0" || version == "0.0.1" {
                    openMetrics = max(openMetrics, quality)
                }
            case "text/plain", "text/*", "*/*":
                classic = max(classic, quality)
            default:
                break
            }
        }
        self = openMetrics > 0 && openMetrics >= classic ? .openMetrics : .classic
    }

    private static func trimmed(_ text: Substring) -> Substring {
        let isBlank: (Character) -> Bool = { $0 == " " || $0 == "\t" }
        var text = text.drop(while: isBlank)
        while let last = text.last, isBlank(last) { text.removeLast() }
        return text
    }

    private static func parameter(_ name: String, in parts: [Substring]) -> String? {
        for part in parts.dropFirst() {
            guard let equals = part.firstIndex(of: "=") else { continue }
            if trimmed(part[..<equals]).lowercased() == name {
                return trimmed(part[part.index(after: equals)...]).filter { $0 != "\"" }
            }
        }
        return nil
    }
}
