import TrammelCore

extension LogLevel: StrictMessage {
    package static let memberNames = ["level"]

    /// From the most to the least talkative.
    package static let names = ["trace", "debug", "info", "notice", "warning", "error", "critical"]

    /// - Throws: `TrammelError` of kind `invalid` for any other level.
    package func check() throws {
        guard !Self.names.contains(level) else { return }
        throw TrammelError(
            .invalid, code: "log-level", "\"\(level)\" is not a log level",
            hint: NearestName.of(level, among: Self.names).map { "did you mean \"\($0)\"?" }
                ?? "the levels are \(Self.names.joined(separator: ", "))")
    }
}
