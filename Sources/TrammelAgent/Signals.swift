@preconcurrency import Dispatch
import Glibc

/// The signals that end the agent, and those that do not.
enum Signals {
    /// Returns at the first SIGTERM or SIGINT, or when the task is cancelled.
    static func untilTermination() async {
        for await _ in each(of: [SIGTERM, SIGINT]) { return }
    }

    /// From now on each of `numbers` ends the process at once again.
    static func endTheProcess(_ numbers: [CInt]) {
        for number in numbers { signal(number, SIG_DFL) }
    }

    /// One element for each arrival of one of `numbers`, which from now on do not end the process.
    static func each(of numbers: [CInt]) -> AsyncStream<Void> {
        AsyncStream<Void> { continuation in
            let queue = DispatchQueue(label: "signals")
            let sources = numbers.map { number in
                // The default action would end the process before the source is told.
                signal(number, SIG_IGN)
                let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
                source.setEventHandler { continuation.yield() }
                source.resume()
                return source
            }
            continuation.onTermination = { _ in for source in sources { source.cancel() } }
        }
    }
}
