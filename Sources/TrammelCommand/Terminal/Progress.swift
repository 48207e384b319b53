import Glibc

/// Tells on standard error that something takes its time: nothing for the first second, and nothing at all unless a
/// person sits there.
enum Progress {
    static func telling<Result: Sendable>(
        _ what: String, _ body: () async throws -> Result
    ) async throws -> Result {
        guard Terminal.isTerminal(STDERR_FILENO), Terminal.isCapable else { return try await body() }
        let teller = Task.detached { await tell(what) }
        do {
            let result = try await body()
            teller.cancel()
            await teller.value
            return result
        } catch {
            teller.cancel()
            await teller.value
            throw error
        }
    }

    /// One line that is written over and over, and taken away at the end.
    private static func tell(_ what: String) async {
        let marks = Terminal.isUTF8 ? Array("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏") : Array("|/-\\")
        let began = ContinuousClock.now
        guard (try? await Task.sleep(for: .seconds(1))) != nil else { return }
        var turn = 0
        while !Task.isCancelled {
            let seconds = (ContinuousClock.now - began).components.seconds
            let dots = Terminal.isUTF8 ? "…" : "..."
            StandardError.write("\r\(marks[turn % marks.count]) \(what)\(dots) \(seconds)s\u{1B}[K")
            turn += 1
            guard (try? await Task.sleep(for: .milliseconds(100))) != nil else { break }
        }
        StandardError.write("\r\u{1B}[K")
    }
}
