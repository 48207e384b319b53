import Glibc
import Synchronization

/// What happens at a terminal that a program has for itself.
enum TerminalEvent: Sendable {
    case key(UInt8)
    case resized
    /// Ctrl-C, or somebody else's wish that the program end: the number of the signal.
    case ended(CInt)
    /// Ctrl-Z: the terminal belongs to the shell until the program is continued.
    case suspended
}

/// Keys and signals as one stream. One at a time in a process.
enum TerminalEvents {
    /// The end of the pipe that signal handlers write to; -1 while there is none.
    private static let signalPipe = Atomic<CInt>(-1)

    private static let signals = [SIGWINCH, SIGINT, SIGTERM, SIGHUP, SIGTSTP]

    /// Ends with the program: whoever reads it is the last thing that the program does.
    static func stream() -> AsyncStream<TerminalEvent> {
        var ends: [CInt] = [0, 0]
        guard pipe(&ends) == 0 else { return AsyncStream { $0.finish() } }
        // A handler must not wait.
        for end in ends {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
        signalPipe.store(ends[1], ordering: .sequentiallyConsistent)
        for number in signals {
            // An atomic load and write(2) are safe in a handler (signal-safety(7)).
            signal(number) { number in
                var byte = UInt8(truncatingIfNeeded: number)
                let saved = errno
                _ = write(TerminalEvents.signalPipe.load(ordering: .relaxed), &byte, 1)
                errno = saved
            }
        }
        let signalEnd = ends[0]
        let (stream, continuation) = AsyncStream.makeStream(of: TerminalEvent.self)
        // A thread of its own, since it blocks for as long as nothing happens.
        let thread = Thread.start { read(signalEnd, continuation) }
        if !thread { continuation.finish() }
        return stream
    }

    private static func read(_ signalEnd: CInt, _ continuation: AsyncStream<TerminalEvent>.Continuation) {
        var watched = [
            pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0),
            pollfd(fd: signalEnd, events: Int16(POLLIN), revents: 0),
        ]
        while true {
            guard poll(&watched, 2, -1) >= 0 || errno == EINTR else { return continuation.finish() }
            var bytes = [UInt8](repeating: 0, count: 64)
            if watched[1].revents != 0 {
                let count = Glibc.read(signalEnd, &bytes, bytes.count)
                for byte in bytes.prefix(max(0, count)) { continuation.yield(event(of: CInt(byte))) }
            }
            if watched[0].revents != 0 {
                let count = Glibc.read(STDIN_FILENO, &bytes, bytes.count)
                // The terminal is gone, which SIGHUP tells where the terminal still can.
                if count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN) {
                    continuation.yield(.ended(SIGHUP))
                    return
                }
                // An arrow key is several bytes behind an escape, and no letter.
                if count > 0, bytes[0] != 0x1B || count == 1 {
                    for byte in bytes.prefix(count) { continuation.yield(.key(byte)) }
                }
            }
        }
    }

    private static func event(of signal: CInt) -> TerminalEvent {
        switch signal {
        case SIGWINCH: .resized
        case SIGTSTP: .suspended
        default: .ended(signal)
        }
    }
}

/// A thread that nobody waits for.
private enum Thread {
    private final class Body {
        let run: () -> Void
        init(_ run: @escaping () -> Void) { self.run = run }
    }

    static func start(_ body: @escaping @Sendable () -> Void) -> Bool {
        var thread = pthread_t()
        let context = Unmanaged.passRetained(Body(body)).toOpaque()
        let result = pthread_create(
            &thread, nil,
            { context in
                // The box that was retained above, for this thread alone.
                guard let context else { return nil }
                Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run()
                return nil
            }, context)
        if result == 0 { pthread_detach(thread) } else { Unmanaged<Body>.fromOpaque(context).release() }
        return result == 0
    }
}
