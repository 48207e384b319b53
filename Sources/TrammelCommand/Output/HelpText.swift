/// What `--help` says of a verb below its abstract: prose, then examples, which tests run and the man page shows.
enum HelpText {
    /// A command with what it is good for. At most 74 characters, so that no terminal breaks it.
    typealias Example = (purpose: String, command: String)

    static func of(_ prose: String = "", examples: [Example]) -> String {
        let shown = examples.map { "  # \($0.purpose)\n  \($0.command)" }.joined(separator: "\n")
        return (prose.isEmpty ? "" : prose + "\n\n") + "EXAMPLES:\n" + shown
    }
}
