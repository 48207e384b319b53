import Glibc

/// What is known of the terminal behind a descriptor, if one is.
enum Terminal {
    struct Size: Hashable, Sendable {
        var columns: Int
        var rows: Int
    }

    static func isTerminal(_ descriptor: CInt) -> Bool { isatty(descriptor) == 1 }

    /// The size of the terminal that standard output is; nil where it is none. COLUMNS and LINES have the last word, as
    /// other programs give it them.
    static var size: Size? {
        guard isTerminal(STDOUT_FILENO) else { return nil }
        var window = winsize()
        _ = ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &window)
        func number(_ variable: String, _ measured: UInt16, _ fallback: Int) -> Int {
            if let set = environment(variable).flatMap({ Int($0) }), set > 0 { return set }
            return measured > 0 ? Int(measured) : fallback
        }
        return Size(columns: number("COLUMNS", window.ws_col, 80), rows: number("LINES", window.ws_row, 24))
    }

    /// Whether it can move its cursor and show colours: what calls itself `dumb`, or nothing, cannot.
    static var isCapable: Bool {
        guard let name = environment("TERM") else { return false }
        return name != "dumb"
    }

    /// Whether the locale's characters are UTF-8, by the variables in the order in which POSIX has them.
    static var isUTF8: Bool {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].lazy.compactMap(environment).first ?? ""
        let plain = locale.lowercased()
        return plain.contains("utf-8") || plain.contains("utf8")
    }

    /// An environment variable; nil where it is not set or empty.
    static func environment(_ name: String) -> String? {
        guard let value = getenv(name) else { return nil }
        let text = String(cString: value)
        return text.isEmpty ? nil : text
    }
}
