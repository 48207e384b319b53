/// An error that speaks to the person who has to mend it.
///
/// The message says what was found and what was expected; `hint` says what to do next. `code` is a short stable token
/// for tests, metrics labels and problem documents; never put user input into it.
package struct TrammelError: Error, Sendable, Equatable {
    /// What the failure is about; decides the HTTP status of a problem document and the exit code of the CLI.
    package enum Kind: String, Sendable, Equatable {
        /// The request or document is wrong: 400.
        case invalid
        /// The caller may not do this: 403.
        case forbidden
        /// No such thing: 404.
        case notFound
        /// It contradicts something that is there: 409.
        case conflict
        /// A limit was reached: 429 or 503.
        case exhausted
        /// The kernel or another program refused: 502 or 503.
        case unavailable
        /// Known by name and not built yet: 501.
        case unimplemented
        /// The agent's own fault: 500.
        case `internal`
        /// The disk has no room for it, or may not be written: 507.
        case storage
    }

    package let kind: Kind
    package let code: String
    package let message: String
    package let hint: String?

    package init(_ kind: Kind, code: String, _ message: String, hint: String? = nil) {
        self.kind = kind
        self.code = code
        self.message = message
        self.hint = hint
    }
}

extension TrammelError: CustomStringConvertible {
    package var description: String {
        hint.map { "\(message); \($0)" } ?? message
    }
}
