import TrammelControlAPI

/// An explanation as text: the steps as numbered sentences, then the outcome, then the place that decided.
struct Story {
    let style: Style
    /// The columns of the terminal that it is for; nil where lines are as long as they are.
    let width: Int?
    /// Whether the outcome bears a mark that is no letter.
    let hasMarks: Bool

    func text(_ explanation: Explanation, of request: ExplainRequest) -> String {
        var lines = ["\(style.paint(request.from, .heading)) calls \(style.paint(request.to, .heading)):", ""]
        let digits = String(explanation.steps.count).count
        for (index, step) in explanation.steps.enumerated() {
            let number = String(index + 1)
            let place = [step.resource, step.source?.description].compactMap(\.self).joined(separator: ", ")
            let sentence = "\(step.title): \(step.text)\(place.isEmpty ? "" : " [\(place)]")"
            let folded = fold(sentence.printable, indent: digits + 2)
            lines.append(String(repeating: " ", count: digits - number.count) + number + ". " + folded)
        }
        lines += ["", outcome(explanation)]
        guard let decidedBy = explanation.decidedBy else {
            return (lines + ["No resource decided this: it is what happens where none says otherwise."])
                .joined(separator: "\n") + "\n"
        }
        let resource = explanation.steps.last { $0.source == decidedBy }?.resource
        lines.append("Decided by \(resource.map { "\($0), " } ?? "")\(decidedBy)")
        return lines.joined(separator: "\n") + "\n"
    }

    private func outcome(_ explanation: Explanation) -> String {
        let isRefused = explanation.verdict == .refused
        let mark = hasMarks ? (isRefused ? "✗ " : "✓ ") : ""
        let text = fold(explanation.summary.printable, indent: mark.count)
        return style.paint(mark + text, isRefused ? .bad : .good)
    }

    /// Broken between words where the terminal ends, further lines set in.
    private func fold(_ text: String, indent: Int) -> String {
        guard let width, width - indent > 20 else { return text }
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ") {
            if !line.isEmpty, line.displayWidth + 1 + String(word).displayWidth > width - indent {
                lines.append(line)
                line = String(word)
            } else {
                line += (line.isEmpty ? "" : " ") + word
            }
        }
        return (lines + [line]).joined(separator: "\n" + String(repeating: " ", count: indent))
    }
}
