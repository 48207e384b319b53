import Glibc

/// Asks the person at the terminal, if there is one.
enum Question {
    /// Whether somebody is there to be asked: standard error is a terminal, and so is what answers come from.
    static var canBeAsked: Bool { Terminal.isTerminal(STDERR_FILENO) }

    /// True for `y` and `yes`; what is piped in on standard input is no answer, the terminal's own line is.
    static func confirm(_ question: String) -> Bool {
        guard let terminal = fopen("/dev/tty", "r") else { return false }
        defer { fclose(terminal) }
        StandardError.write("\(question) [y/N] ")
        var line = [CChar](repeating: 0, count: 256)
        guard fgets(&line, CInt(line.count), terminal) != nil else { return false }
        let answer = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        return ["y", "yes"].contains(answer.lowercased().filter { !$0.isWhitespace })
    }
}
