import Foundation
import Testing

/// A program on a terminal of its own, as a person at it would see it.
struct Pseudoterminal: Sendable {
    /// What somebody does when the terminal shows something.
    struct Step: Codable, Sendable {
        /// A regular expression that the output has to match; searched behind what the step before found.
        var after: String
        /// Keys.
        var type: String?
        /// New columns and rows.
        var resize: [Int]?
    }

    let status: Int
    /// All that was written, escape sequences too.
    let output: String
    /// Whether the terminal was handed back as it was: lines are edited and shown.
    let isRestored: Bool

    /// What is left without escape sequences, each line as it was last drawn.
    var text: String {
        // CR LF is one character to Swift.
        output.replacing(#/\u{1B}\[[0-9;?]*[A-Za-z]/#, with: "").replacing("\r\n", with: "\n")
            .replacing("\r", with: "")
    }

    static func run(
        _ arguments: [String], columns: Int = 80, rows: Int = 24, environment: [String: String] = [:],
        steps: [Step] = [], directory: String = "/"
    ) async throws -> Pseudoterminal {
        let input = String(decoding: try JSONEncoder().encode(steps), as: UTF8.self)
        let plain = ["TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "NO_COLOR": "", "COLUMNS": "", "LINES": ""]
        let child = try await Child.run(
            ["/usr/bin/python3", "-c", driver, String(columns), String(rows), Trammel.binary()] + arguments,
            input: input, environment: plain.merging(environment) { $1 }, directory: directory)
        try #require(child.status == 0, "\(child.errors)")
        let newline = try #require(child.output.firstIndex(of: "\n"))
        let words = child.output[..<newline].split(separator: " ")
        return Pseudoterminal(
            status: try #require(Int(words[0])), output: String(child.output[newline...].dropFirst()),
            isRestored: words[1] == "True")
    }

    static func run(_ command: String, on server: RunningServer, columns: Int = 80) async throws -> Pseudoterminal {
        try await run(
            command.split(separator: " ").map(String.init), columns: columns,
            environment: ["TRAMMEL_SOCKET": server.socket])
    }

    private static let driver = """
        import fcntl, json, os, pty, re, select, struct, sys, termios, time
        columns, rows, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
        steps = json.load(sys.stdin)
        def size(fd, columns, rows):
            fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        child, fd = pty.fork()
        if child == 0:
            size(0, columns, rows)
            os.execv(command[0], command)
        output, place, deadline = b"", 0, time.monotonic() + 60
        while time.monotonic() < deadline:
            while steps and (found := re.compile(steps[0]["after"].encode(), re.S).search(output, place)):
                place, step = found.end(), steps.pop(0)
                if step.get("resize"):
                    size(fd, *step["resize"])
                if step.get("type"):
                    os.write(fd, step["type"].encode())
            if not select.select([fd], [], [], 0.2)[0]:
                continue
            try:
                more = os.read(fd, 65536)
            except OSError:
                break
            if not more:
                break
            output += more
        else:
            os.kill(child, 9)
            sys.exit("no end; steps left: %r; output: %r" % (steps, output))
        flags = termios.tcgetattr(fd)[3]
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if steps:
            sys.exit("ended with steps left: %r; output: %r" % (steps, output))
        restored = bool(flags & termios.ICANON and flags & termios.ECHO)
        print(status, restored)
        sys.stdout.flush()
        os.write(1, output)
        """
}
