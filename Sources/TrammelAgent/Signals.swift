@preconcurrency import Dispatch
import Glibc

/// The signals that end the agent.
enum Signals {
    /// Returns at the first SIGTERM or SIGINT, or when the task is cancelled.
    static func untilTermination() async {
        let signals = AsyncStream<Void> { continuation in
            let queue = DispatchQueue(label: "signals")
            let sources = [SIGTERM, SIGINT].map { number in
                // The default action would end the process before the source is told.
                signal(number, SIG_IGN)
                let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
                source.setEventHandler { continuation.yield() }
                source.resume()
                return source
            }
            continuation.onTermination = { _ in for source in sources { source.cancel() } }
        }
        for await _ in signals { return }
    }
}
