import ArgumentParser
import Glibc
import Synchronization

/// When to print in colour.
enum ColorChoice: String, ExpressibleByArgument, CaseIterable, Sendable {
    case auto, always, never
}

/// What a piece of text means to who reads it: how it is coloured, where colours are shown at all.
enum Tone: Sendable {
    case plain, heading, good, warning, bad, faint, added, removed

    /// The parameters of SGR (ECMA-48 section 8.3.117), of the eight colours that every terminal has.
    var code: String {
        switch self {
        case .plain: ""
        case .heading: "1"
        case .good, .added: "32"
        case .warning: "33"
        case .bad, .removed: "31"
        case .faint: "2"
        }
    }
}

/// Whether text that goes to one descriptor is coloured.
struct Style: Sendable {
    let isColored: Bool

    static let plain = Style(isColored: false)

    /// NO_COLOR (no-color.org) counts when it is set to anything; an option that is given counts more.
    static func of(_ descriptor: CInt) -> Style {
        switch chosen.withLock({ $0 }) {
        case .always: Style(isColored: true)
        case .never: .plain
        case .auto:
            Style(
                isColored: Terminal.isTerminal(descriptor) && Terminal.isCapable
                    && Terminal.environment("NO_COLOR") == nil)
        }
    }

    static var output: Style { of(STDOUT_FILENO) }
    static var errors: Style { of(STDERR_FILENO) }

    func paint(_ text: String, _ tone: Tone) -> String {
        guard isColored, !tone.code.isEmpty, !text.isEmpty else { return text }
        return "\u{1B}[\(tone.code)m\(text)\u{1B}[0m"
    }

    /// What `--color` said; set once, while the arguments are read.
    private static let chosen = Mutex(ColorChoice.auto)

    static func choose(_ choice: ColorChoice) { chosen.withLock { $0 = choice } }
}

/// `--color`, which every verb that prints something has.
struct ColorOption: ParsableArguments {
    @Option(
        name: .long,
        help: """
            When to print in colour: auto (on a terminal, unless NO_COLOR is set or TERM is dumb), always or never.
            """)
    var color: ColorChoice = .auto

    func validate() { Style.choose(color) }
}
