/// Writes metric families as text, a piece at a time, so that a large scrape is never whole in memory.
struct ExpositionWriter: ~Copyable {
    let format: ExpositionFormat
    private var bytes: [UInt8] = []
    private let emit: ([UInt8]) -> Void

    init(_ format: ExpositionFormat, emit: @escaping ([UInt8]) -> Void) {
        self.format = format
        self.emit = emit
        bytes.reserveCapacity(Self.piece + 4096)
    }

    private static let piece = 64 * 1024

    enum Kind: String {
        case counter, gauge, histogram
    }

    /// The HELP and TYPE lines. `name` is the series' name; OpenMetrics calls a counter's family by the name without
    /// `_total`.
    mutating func family(_ name: String, _ kind: Kind, help: String) {
        var family = name
        if format == .openMetrics, kind == .counter, name.hasSuffix("_total") { family.removeLast(6) }
        text("# HELP \(family) ")
        escaped(help, quotes: format == .openMetrics)
        text("\n# TYPE \(family) \(kind.rawValue)\n")
    }

    /// One sample line. `labels` is text made by `labelText`.
    mutating func sample(_ name: String, _ labels: [UInt8], more: String = "", _ value: String) {
        text(name)
        if !labels.isEmpty || !more.isEmpty {
            bytes.append(UInt8(ascii: "{"))
            bytes.append(contentsOf: labels)
            if !labels.isEmpty, !more.isEmpty { bytes.append(UInt8(ascii: ",")) }
            text(more)
            bytes.append(UInt8(ascii: "}"))
        }
        bytes.append(UInt8(ascii: " "))
        text(value)
        bytes.append(UInt8(ascii: "\n"))
        if bytes.count >= Self.piece { drain() }
    }

    /// All lines of one histogram. `sum` is text.
    mutating func histogram(_ name: String, _ labels: [UInt8], buckets: ArraySlice<UInt64>, sum: String) {
        var total: UInt64 = 0
        for (bound, count) in zip(Histogram.boundTexts, buckets) {
            total &+= count
            let text = format == .openMetrics ? bound.openMetrics : bound.classic
            sample(name + "_bucket", labels, more: "le=\"\(text)\"", "\(total)")
        }
        total &+= buckets.last ?? 0
        sample(name + "_bucket", labels, more: "le=\"+Inf\"", "\(total)")
        sample(name + "_sum", labels, sum)
        sample(name + "_count", labels, "\(total)")
    }

    mutating func finish() {
        if format == .openMetrics { text("# EOF\n") }
        drain()
    }

    private mutating func drain() {
        if !bytes.isEmpty { emit(bytes) }
        bytes.removeAll(keepingCapacity: true)
    }

    private mutating func text(_ text: String) { bytes.append(contentsOf: text.utf8) }

    private mutating func escaped(_ text: String, quotes: Bool) {
        Self.escape(text, quotes: quotes, into: &bytes)
    }

    private static func escape(_ text: String, quotes: Bool, into bytes: inout [UInt8]) {
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\\"): bytes.append(contentsOf: #"\\"#.utf8)
            case UInt8(ascii: "\n"): bytes.append(contentsOf: #"\n"#.utf8)
            case UInt8(ascii: "\"") where quotes: bytes.append(contentsOf: #"\""#.utf8)
            default: bytes.append(byte)
            }
        }
    }

    /// `a="x",b="y"` with the values escaped.
    static func labelText(_ labels: some Sequence<(name: String, value: String)>) -> [UInt8] {
        var bytes: [UInt8] = []
        for (name, value) in labels {
            if !bytes.isEmpty { bytes.append(UInt8(ascii: ",")) }
            bytes.append(contentsOf: name.utf8)
            bytes.append(contentsOf: "=\"".utf8)
            escape(value, quotes: true, into: &bytes)
            bytes.append(UInt8(ascii: "\""))
        }
        return bytes
    }
}
