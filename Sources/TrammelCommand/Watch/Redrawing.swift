/// Lines at the bottom of a terminal that are drawn over, so that the last state stays readable when the watch ends.
struct Redrawing {
    private var drawn: [String] = []

    /// Draws `lines` where the last ones stood; what the terminal has no room for is counted in its last line.
    mutating func draw(_ lines: [String], size: Terminal.Size) {
        let room = max(2, size.rows - 1)
        var lines = lines
        if lines.count > room {
            let left = lines.count - room + 1
            lines = lines.prefix(room - 1) + ["… \(left) more"]
        }
        guard lines != drawn else { return }
        var text = drawn.isEmpty ? "" : "\u{1B}[\(drawn.count)A"
        // A line that wrapped would take two, and the count would be wrong.
        for line in lines.map({ $0.cutStyled(to: size.columns) }) { text += "\r\(line)\u{1B}[K\n" }
        // What remains of a longer one.
        text += "\u{1B}[J"
        StandardOutput.write(text)
        drawn = lines
    }
}
