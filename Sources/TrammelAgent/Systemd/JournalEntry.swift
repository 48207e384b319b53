import Logging

/// A line of the log as journald takes it: fields, of which `journalctl FIELD=value` finds those it is asked for.
///
/// A field may be there several times, once for each of its values. The format is that of systemd's "Native Journal
/// Protocol": `NAME=value` on a line; and where the value itself has line feeds, the name alone, the value's length as 64 bits in
/// little endian order, and the value.
struct JournalEntry: Equatable {
    /// Of syslog(3).
    let priority: Int
    let message: String
    private(set) var bytes: [UInt8] = []

    init(_ message: String, priority: Int) {
        self.message = message
        self.priority = priority
        add("MESSAGE", message)
        add("PRIORITY", "\(priority)")
        add("SYSLOG_IDENTIFIER", "trammeld")
    }

    /// For where journald reads lines, the level off the beginning of each (sd-daemon(3)).
    var lines: String { message.split(separator: "\n").map { "<\(priority)>\($0)\n" }.joined() }

    /// - Parameter name: of capital letters, digits and underscores, and a letter first; journald drops others.
    mutating func add(_ name: String, _ value: String) {
        let value = Array(value.utf8)
        bytes += name.utf8
        if value.contains(UInt8(ascii: "\n")) {
            bytes.append(UInt8(ascii: "\n"))
            withUnsafeBytes(of: UInt64(value.count).littleEndian) { bytes += $0 }
        } else {
            bytes.append(UInt8(ascii: "="))
        }
        bytes += value
        bytes.append(UInt8(ascii: "\n"))
    }
}

extension JournalEntry {
    /// What journald takes for a field's name at most, in bytes.
    static let longestName = 64

    /// Of the agent's own; `workload` is `TRAMMEL_WORKLOAD`. The beginning is a letter, whatever the key begins with.
    static func field(of key: String) -> String {
        let name = key.uppercased().unicodeScalars.map { scalar in
            ("A"..."Z").contains(scalar) || ("0"..."9").contains(scalar) ? Character(scalar) : "_"
        }
        return String(("TRAMMEL_" + String(name)).prefix(longestName))
    }

    /// - Parameter metadata: of the event and of its logger.
    init(_ event: LogEvent, metadata: Logger.Metadata) {
        let metadata = metadata.sorted { $0.key < $1.key }
        self.init(Self.message(event, metadata), priority: event.level.priority)
        for (key, value) in metadata {
            let field = Self.field(of: key)
            for text in value.texts { add(field, text) }
        }
        add("CODE_FILE", event.file)
        add("CODE_LINE", "\(event.line)")
        add("CODE_FUNC", event.function)
    }

    /// journalctl shows this alone: what the words leave to the metadata is put behind them.
    private static func message(_ event: LogEvent, _ metadata: [(key: String, value: Logger.MetadataValue)]) -> String {
        let words = "\(event.message)"
        let untold = metadata.filter { !$0.value.texts.allSatisfy(words.contains) }
        return words + untold.map { " \($0.key)=\($0.value)" }.joined()
    }
}

extension Logger.MetadataValue {
    /// The values of a list, one by one.
    fileprivate var texts: [String] {
        if case .array(let values) = self { values.flatMap(\.texts) } else { ["\(self)"] }
    }
}

extension Logger.Level {
    /// That of syslog(3).
    var priority: Int {
        switch self {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }
}
