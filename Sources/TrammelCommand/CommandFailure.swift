import Glibc
import TrammelConfig
import TrammelControlAPI
import TrammelCore

/// Why a verb did not do what it was asked, in lines for standard error, with the status to leave with.
struct CommandFailure: Error {
    /// Refused or failed.
    static let failed: Int32 = 1
    static let usage: Int32 = 2
    static let unreachable: Int32 = 3

    let lines: [String]
    let status: Int32

    init(_ message: String, hint: String?, status: Int32 = CommandFailure.failed) {
        lines = [Self.line(message, hint: hint)]
        self.status = status
    }

    /// Somebody's wish that the program end, of which there is nothing to say: the status that shells have for it.
    init(endedBy signal: CInt) {
        lines = []
        status = 128 + signal
    }

    /// Nil for what the argument parser throws.
    init?(describing error: any Error) {
        switch error {
        case let failure as CommandFailure:
            self = failure
        case let error as AgentUnreachable:
            self.init(error.message, hint: error.hint, status: Self.unreachable)
        case let error as TrammelError:
            self.init(error.message, hint: error.hint)
        case let problem as Problem:
            self.init(problem.items)
        default:
            return nil
        }
    }

    /// What an error says, without the program's name.
    static func words(of error: any Error) -> String {
        let lines = CommandFailure(describing: error)?.lines ?? ["\(error)"]
        return lines.map { $0.hasPrefix("trammel: ") ? String($0.dropFirst(9)) : $0 }.joined(separator: "; ")
    }

    /// One line for each fault of a document.
    init(_ items: [Problem.Item]) {
        lines = items.map { Self.line($0.description, hint: nil) }
        status = Self.failed
    }

    init(_ errors: ConfigErrors) {
        lines = errors.description.split(separator: "\n").map { Self.line(String($0), hint: nil) }
        status = Self.failed
    }

    /// The lines of several failures; the status of the gravest.
    init(_ failures: [CommandFailure]) {
        lines = failures.flatMap(\.lines)
        status = failures.map(\.status).max() ?? Self.failed
    }

    private static func line(_ message: String, hint: String?) -> String {
        let text = "trammel: " + (hint.map { "\(message); \($0)" } ?? message)
        return text.split(whereSeparator: \.isNewline).joined(separator: " ").printable
    }
}
