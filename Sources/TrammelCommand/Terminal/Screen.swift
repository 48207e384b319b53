import Glibc

/// The whole terminal, for as long as a program shows something that changes: another screen than the one the shell is on,
/// no cursor, keys at once. What was there comes back when it is left.
struct Screen: ~Copyable {
    private var before = termios()
    private var isEntered = false

    init() {
        guard tcgetattr(STDIN_FILENO, &before) == 0 else { return }
        enter()
    }

    mutating func enter() {
        guard !isEntered else { return }
        var now = before
        // Signals stay: Ctrl-C and Ctrl-Z are the terminal's business.
        now.c_lflag &= ~tcflag_t(ICANON | ECHO)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &now)
        StandardOutput.write("\u{1B}[?1049h\u{1B}[?25l\u{1B}[2J")
        isEntered = true
    }

    mutating func leave() {
        guard isEntered else { return }
        restore()
        isEntered = false
    }

    /// Draws over what is there, so that nothing flickers; what does not fit is left out.
    func draw(_ lines: [String], size: Terminal.Size) {
        guard isEntered else { return }
        let shown = lines.prefix(size.rows).map { $0.cutStyled(to: size.columns) + "\u{1B}[K" }.joined(separator: "\n")
        StandardOutput.write("\u{1B}[H\(shown)\u{1B}[J")
    }

    private func restore() {
        // Not through what would end the program where nobody reads.
        let text = "\u{1B}[?25h\u{1B}[?1049l"
        _ = write(STDOUT_FILENO, text, text.utf8.count)
        var before = before
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before)
    }

    deinit { if isEntered { restore() } }
}
