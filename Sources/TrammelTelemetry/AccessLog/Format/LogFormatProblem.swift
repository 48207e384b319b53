/// What is wrong with a format of the access log that somebody wrote.
package struct LogFormatProblem: Error, Hashable, Sendable {
    /// What was found, and what was expected.
    package let message: String
    /// What to do about it.
    package let hint: String?
    /// The name that nothing here knows, and those that are known, for whoever can tell the nearest.
    package let unknown: String?
    package let known: [String]

    init(_ message: String, hint: String? = nil, unknown: String? = nil, known: [String] = []) {
        self.message = message
        self.hint = hint
        self.unknown = unknown
        self.known = known
    }
}
