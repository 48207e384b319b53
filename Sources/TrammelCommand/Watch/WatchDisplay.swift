import Glibc
import TrammelControlAPI

/// Shows a list again and again: drawn over itself on a terminal, a line for each change elsewhere.
struct WatchDisplay<Item: Codable & Hashable & Sendable> {
    private let format: OutputFormat
    private let isDrawn: Bool
    private var area = Redrawing()
    private var tracker = ChangeTracker<Item>()
    /// The widest that each column has been: lines that are written already cannot be moved.
    private var widths: [Int]?
    private var isFirst = true

    init(format: OutputFormat) {
        self.format = format
        isDrawn =
            [.table, .wide].contains(format) && Terminal.isTerminal(STDOUT_FILENO) && Terminal.isCapable
    }

    mutating func show(_ listing: Listing<Item>) throws {
        if isDrawn { return draw(listing, note: nil) }
        let changes = tracker.update(listing)
        switch format {
        case .table, .wide: append(changes, of: listing)
        case .name: StandardOutput.write(changes.map { listing.name($0.object) + "\n" }.joined())
        case .json:
            for change in changes {
                StandardOutput.say(String(decoding: try ControlJSON.encode(change), as: UTF8.self))
            }
        case .yaml:
            for change in changes { StandardOutput.write("---\n" + (try YAMLText.of(change))) }
        }
        isFirst = false
    }

    /// The last list, with a word on why it is not the newest.
    mutating func draw(_ listing: Listing<Item>, note: String?) {
        guard let size = Terminal.size else { return }
        let table = listing.table(listing.items, format == .wide)
        var lines =
            listing.items.isEmpty
            ? [listing.nothing.cut(to: size.columns)] : table.lines(style: .output, limit: size.columns)
        if let note { lines.insert(Style.output.paint(note.cut(to: size.columns), .bad), at: 0) }
        area.draw(lines, size: size)
    }

    /// Says that the agent is away; the display goes on when it is back.
    mutating func tell(_ note: String, last: Listing<Item>?) {
        if isDrawn, let last { draw(last, note: note) } else { StandardError.say("trammel: \(note)") }
    }

    private mutating func append(_ changes: [ChangeRecord<Item>], of listing: Listing<Item>) {
        guard !changes.isEmpty else {
            if isFirst { StandardError.say(listing.nothing) }
            return
        }
        let own = listing.table(changes.map(\.object), format == .wide)
        var table = Table(["EVENT"] + own.columns)
        for (change, row) in zip(changes, own.rows) {
            table.add([Table.Cell(change.type.rawValue, change.type.tone)] + row)
        }
        let isNew = widths == nil
        let now = zip(table.widths(), widths ?? table.columns.map { _ in 0 }).map(max)
        widths = now
        let style = Style.output
        var text = isNew ? table.line(table.columns.map { Table.Cell($0.title, .heading) }, now, style) + "\n" : ""
        for row in table.rows { text += table.line(row, now, style) + "\n" }
        StandardOutput.write(text)
    }
}
