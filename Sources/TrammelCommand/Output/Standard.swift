import Glibc

/// Standard output, written at once and whole, so that a reader sees each line when it is said.
enum StandardOutput {
    static func write(_ text: String) { finish(Descriptor.write(text, to: STDOUT_FILENO)) }

    static func write(_ bytes: [UInt8]) {
        finish(bytes.withUnsafeBytes { Descriptor.write($0, to: STDOUT_FILENO) })
    }

    private static func finish(_ isWritten: Bool) {
        guard isWritten else {
            // Nobody reads any more, `| head` for instance; there is nobody to tell.
            if errno == EPIPE { Glibc.exit(0) }
            StandardError.say("trammel: standard output cannot be written: \(String(cString: strerror(errno)))")
            Glibc.exit(CommandFailure.failed)
        }
    }

    static func say(_ line: String) { write(line + "\n") }
}

/// Standard error, one line at a time.
enum StandardError {
    static func say(_ line: String) { write(line + "\n") }

    static func write(_ text: String) { _ = Descriptor.write(text, to: STDERR_FILENO) }

    /// The word stands in front of the line, and not once more behind the place in a file that it begins with.
    static func warn(_ warnings: [String]) {
        let word = Style.errors.paint("warning:", .warning)
        for warning in warnings {
            say("\(word) " + warning.replacing(": warning: ", with: ": ", maxReplacements: 1).printable)
        }
    }
}

enum Descriptor {
    /// False where not all of it could be written.
    static func write(_ text: String, to descriptor: CInt) -> Bool {
        var text = text
        return text.withUTF8 { write(UnsafeRawBufferPointer($0), to: descriptor) }
    }

    static func write(_ bytes: UnsafeRawBufferPointer, to descriptor: CInt) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
            if written < 0, errno == EINTR { continue }
            if written < 0, errno == EAGAIN {
                // Somebody made the terminal non-blocking; it takes more when it has drained.
                var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&ready, 1, -1)
                continue
            }
            guard written > 0 else { return false }
            rest = rest.dropFirst(written)
        }
        return true
    }
}
