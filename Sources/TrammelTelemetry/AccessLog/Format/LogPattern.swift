/// A line's layout in Envoy's words, taken apart: text, and command operators between it
/// (Envoy's `source/common/formatter`: `%COMMAND%`, `%COMMAND(argument)%`, `%COMMAND(argument):LENGTH%`, `%%`).
struct LogPattern {
    enum Piece: Hashable {
        case text([UInt8])
        case command(Command)
    }

    struct Command: Hashable {
        let name: String
        let argument: String?
        /// The most bytes that are shown.
        let limit: Int?
        /// Where it stands in the pattern, counted from 1.
        let column: Int
    }

    private(set) var pieces: [Piece] = []

    /// One line feed at the end, as Envoy's formats have it, is dropped: every line ends in one anyway. So are the two
    /// characters `\n`, which is what it comes to in single quotes.
    init(_ pattern: String) throws(LogFormatProblem) {
        var bytes = Array(pattern.utf8)
        if bytes.last == UInt8(ascii: "\n") {
            bytes.removeLast()
        } else if bytes.suffix(2).elementsEqual(#"\n"#.utf8) {
            bytes.removeLast(2)
        }
        if bytes.contains(where: { $0 < 0x20 && $0 != UInt8(ascii: "\t") }) {
            throw LogFormatProblem(
                "a line break, or another control character, inside of a format; expected one line",
                hint: "every record is one line; leave the break out")
        }
        var text: [UInt8] = []
        var at = 0
        while at < bytes.count {
            guard bytes[at] == UInt8(ascii: "%") else {
                text.append(bytes[at])
                at += 1
                continue
            }
            if at + 1 < bytes.count, bytes[at + 1] == UInt8(ascii: "%") {
                text.append(bytes[at])
                at += 2
                continue
            }
            let (command, end) = try Self.command(in: bytes, at: at)
            if !text.isEmpty { pieces.append(.text(text)) }
            text = []
            pieces.append(.command(command))
            at = end
        }
        if !text.isEmpty { pieces.append(.text(text)) }
    }

    /// The command that begins with the `%` at `start`, and where it ends.
    private static func command(in bytes: [UInt8], at start: Int) throws(LogFormatProblem) -> (Command, end: Int) {
        var at = start + 1
        while at < bytes.count, isNameByte(bytes[at]) { at += 1 }
        let name = String(decoding: bytes[(start + 1)..<at], as: UTF8.self)
        guard !name.isEmpty else { throw unfinished(start) }
        if let (limit, end) = ending(bytes, at) {
            return (Command(name: name.uppercased(), argument: nil, limit: limit, column: start + 1), end)
        }
        guard at < bytes.count, bytes[at] == UInt8(ascii: "(") else { throw unfinished(start) }
        // An argument may have parentheses and percent signs of its own: it ends where the command can.
        var close = at + 1
        while close < bytes.count {
            if bytes[close] == UInt8(ascii: ")"), let (limit, end) = ending(bytes, close + 1) {
                let argument = String(decoding: bytes[(at + 1)..<close], as: UTF8.self)
                return (Command(name: name.uppercased(), argument: argument, limit: limit, column: start + 1), end)
            }
            close += 1
        }
        throw unfinished(start)
    }

    /// `%` or `:LENGTH%`.
    private static func ending(_ bytes: [UInt8], _ start: Int) -> (limit: Int?, end: Int)? {
        guard start < bytes.count else { return nil }
        if bytes[start] == UInt8(ascii: "%") { return (nil, start + 1) }
        guard bytes[start] == UInt8(ascii: ":") else { return nil }
        var at = start + 1
        while at < bytes.count, bytes[at] &- 0x30 < 10 { at += 1 }
        guard at < bytes.count, bytes[at] == UInt8(ascii: "%"),
            let limit = Int(String(decoding: bytes[(start + 1)..<at], as: UTF8.self))
        else { return nil }
        return (limit, at + 1)
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"): true
        default: false
        }
    }

    private static func unfinished(_ start: Int) -> LogFormatProblem {
        LogFormatProblem(
            "the % at character \(start + 1) begins no command; expected %COMMAND%, %COMMAND(argument)% or "
                + "%COMMAND(argument):LENGTH%",
            hint: "write %% for a percent sign")
    }
}
