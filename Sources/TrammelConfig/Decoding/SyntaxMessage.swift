import Yams

/// Puts the parser's complaints into words that say where to look and what to change.
enum SyntaxMessage {
    static func describe(_ error: YamlError, text: String, file: String, shift: Int) -> ConfigError {
        func report(line: Int, column: Int, _ message: String, _ hint: String?) -> ConfigError {
            let place = SourceLocation(file: file, line: line + shift, column: column)
            return ConfigError(.syntax, location: place, message, hint: hint)
        }
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            if let line = lineIndentedByTab(text, upTo: mark.line) {
                return report(
                    line: line, column: 1, "found a tab in the indentation; YAML allows only spaces there",
                    "replace the tab with spaces")
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
            ("mapping values are not allowed", "check the indentation, and put quotes around a value that holds ': '"),
            ("could not find expected ':'", "a key on this or the line before lacks its colon"),
            ("did not find expected key", "check that the line is indented like its neighbours"),
            ("did not find expected '-'", "check that the list's items are indented alike"),
            ("block sequence entries are not allowed", "put the '-' on a line of its own, below its key"),
            ("did not find expected ',' or", "a bracket or brace is not closed"),
            ("unexpected end of stream", "a quote is not closed"),
            ("undefined alias", "define the anchor (&name) earlier in the same document"),
            ("cannot start any token", "put quotes around the value"),
            ("unknown escape character", "write a backslash twice, or use single quotes"),
            ("expected a single document", "separate documents with a line ---"),
            ("did not find expected <document start>", "separate documents with a line ---"),
            ("nesting level", "flatten the document"),
        ]
        return hints.first { problem.contains($0.0) }?.1
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
