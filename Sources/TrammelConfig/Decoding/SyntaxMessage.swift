import Yams

/// Puts the parser's complaints into words that say where to look and what to change.
enum SyntaxMessage {
    static func describe(_ error: YamlError, text: String, file: String, shift: Int) -> ConfigError {
        func report(line: Int, column: Int, _ message: String, _ hint: String?) -> ConfigError {
            let last = lastLineWithContent(text)
            let place = SourceLocation(file: file, line: min(line, last) + shift, column: line > last ? 1 : column)
            return ConfigError(.syntax, location: place, message, hint: hint)
        }
        switch error {
        case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            if let line = lineIndentedByTab(text, upTo: mark.line) {
                return report(
                    line: line, column: 1, "found a tab in the indentation; YAML allows only spaces there",
                    "replace the tab with spaces")
            }
            // What was never closed is best looked for where it was opened.
            if let context, problem.contains("unexpected end of stream") || problem.contains("',' or") {
                return report(
                    line: context.mark.line, column: context.mark.column, "not valid YAML: \(problem)",
                    "what begins here, a quote or a bracket, is not closed")
            }
            return report(line: mark.line, column: mark.column, "not valid YAML: \(problem)", hint(for: problem))
        case .duplicatedKeysInMapping(let names, let context):
            let keys = names.map(quoted).joined(separator: ", ")
            return ConfigError(
                .duplicate,
                location: SourceLocation(file: file, line: context.mark.line + shift, column: context.mark.column),
                "found the key \(keys) more than once in one mapping", hint: "keep one of them")
        case .reader(let problem, _, _, _):
            return report(line: 1, column: 1, "not valid YAML: \(problem)", "save the file as plain UTF-8 text")
        default:
            return report(line: 1, column: 1, "not valid YAML: \(error)", nil)
        }
    }

    private static func hint(for problem: String) -> String? {
        let hints: [(String, String)] = [
            (
                "mapping values are not allowed",
                "check the indentation and that each key has its colon; put quotes around a value that holds ': '"
            ),
            ("could not find expected ':'", "a key on this or the line before lacks its colon"),
            ("did not find expected key", "check that the line is indented like its neighbours"),
            ("did not find expected '-'", "check that the list's items are indented alike"),
            ("block sequence entries are not allowed", "put the '-' on a line of its own, below its key"),
            ("expected node content", "a bracket is not closed, or a value is missing"),
            ("undefined alias", "define the anchor (&name) earlier in the same document"),
            ("cannot start any token", "put quotes around the value"),
            ("unknown escape character", "write a backslash twice, or use single quotes"),
            ("expected a single document", "separate documents with a line ---"),
            ("did not find expected <document start>", "separate documents with a line ---"),
            ("nesting level", "flatten the document"),
        ]
        return hints.first { problem.contains($0.0) }?.1
    }

    private static func lastLineWithContent(_ text: String) -> Int {
        let rows = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        let last = rows.lastIndex { row in row.contains { $0 != 0x20 && $0 != 0x09 && $0 != 0x0D } }
        return (last ?? 0) + 1
    }

    /// The last line up to `line` with a tab before its first word: what a complaint at or after it is mostly about.
    private static func lineIndentedByTab(_ text: String, upTo line: Int) -> Int? {
        let rows = text.utf8.split(separator: UInt8(ascii: "\n"), maxSplits: line, omittingEmptySubsequences: false)
        for number in [line, line - 1] where number >= 1 && number <= rows.count {
            let row = rows[number - 1]
            let indent = row.prefix { $0 == 0x20 || $0 == 0x09 }
            if indent.contains(0x09), indent.endIndex != row.endIndex { return number }
        }
        return nil
    }
}
