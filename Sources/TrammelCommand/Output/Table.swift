/// Columns under headings, aligned, two spaces apart. A cell that says nothing shows `-`.
struct Table: Sendable {
    struct Column: Sendable, ExpressibleByStringLiteral {
        enum Kind: Sendable {
            /// Words that are kept whole.
            case word
            /// Words of any length: what is cut where the terminal is too narrow.
            case text
            /// Numbers, aligned at the right.
            case number
        }

        let title: String
        let kind: Kind

        init(_ title: String, _ kind: Kind) {
            self.title = title
            self.kind = kind
        }

        init(stringLiteral title: String) { self.init(title, .word) }

        var isRight: Bool { kind == .number }
    }

    struct Cell: Sendable, ExpressibleByStringInterpolation {
        let text: String
        let tone: Tone

        init(_ text: String?, _ tone: Tone = .plain) {
            let text = text ?? ""
            self.text = text.isEmpty ? "-" : text.printable
            self.tone = tone
        }

        init(_ number: some BinaryInteger, _ tone: Tone = .plain) { self.init(String(number), tone) }

        init(stringLiteral text: String) { self.init(text) }
    }

    let columns: [Column]
    private(set) var rows: [[Cell]] = []

    init(_ columns: [Column]) { self.columns = columns }

    /// - Parameter cells: one for each column.
    mutating func add(_ cells: [Cell]) { rows.append(cells) }

    /// The heading and each row, without line breaks.
    /// - Parameter limit: the columns of the terminal, where the lines are to fit one.
    func lines(style: Style, limit: Int? = nil, heading: Bool = true) -> [String] {
        let widths = widths(limit: limit)
        let headings = columns.map { Cell($0.title, .heading) }
        return ((heading ? [headings] : []) + rows).map { line($0, widths, style) }
    }

    /// One row in the widths given, as a watch appends it.
    func line(_ cells: [Cell], _ widths: [Int], _ style: Style) -> String {
        var line = ""
        // Blanks are written only before something, so that no line ends with them.
        var blanks = 0
        for (index, cell) in cells.enumerated() {
            let text = columns[index].kind == .text ? cell.text.cut(to: widths[index]) : cell.text
            let room = max(0, widths[index] - text.displayWidth)
            if columns[index].isRight { blanks += room }
            line += String(repeating: " ", count: blanks) + style.paint(text, cell.tone)
            blanks = 2 + (columns[index].isRight ? 0 : room)
        }
        return line
    }

    /// How wide each column has to be; what is free text gives way, the widest first, where the sum is above `limit`.
    func widths(limit: Int? = nil) -> [Int] {
        var widths = columns.indices.map { index in
            rows.reduce(columns[index].title.displayWidth) { max($0, $1[index].text.displayWidth) }
        }
        guard let limit else { return widths }
        var excess = widths.reduce(0, +) + 2 * (widths.count - 1) - limit
        let smallest = { (index: Int) in max(columns[index].title.displayWidth, 8) }
        while excess > 0 {
            let yielding = columns.indices.filter { columns[$0].kind == .text && widths[$0] > smallest($0) }
            guard let widest = yielding.max(by: { widths[$0] < widths[$1] }) else { break }
            // Down to the next widest at once, so that the loop runs once a column and not once a character.
            let next = yielding.filter { $0 != widest }.map { widths[$0] }.max() ?? 0
            let step = min(excess, max(1, widths[widest] - max(next, smallest(widest))))
            widths[widest] -= step
            excess -= step
        }
        return widths
    }
}
