import TrammelCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The access log of the whole agent: takes chunks of lines from all loops and writes them on a thread of its own.
///
/// A loop never waits for it. When the disk or the reader of standard output is too slow, lines are dropped whole and
/// counted (`trammel_access_log_dropped_total`).
package final class AccessLogSink: Sendable {
    package static let defaultQueueLimit = 16 * 1024 * 1024

    private let queue: ChunkQueue
    private let counters: Counters

    private struct Counters: Sendable {
        let written: AgentCounter
        let queueFull: AgentCounter
        let writeFailed: AgentCounter

        init(_ metrics: AgentMetrics) {
            written = metrics.counter("trammel_access_log_lines_total", help: "Access log lines written.")
            let help = "Access log lines that were lost, by reason."
            let name = "trammel_access_log_dropped_total"
            queueFull = metrics.counter(name, help: help, labels: [("reason", "queue_full")])
            writeFailed = metrics.counter(name, help: help, labels: [("reason", "write_failed")])
        }
    }

    /// Opens the log and starts the writer thread.
    /// - Parameters:
    ///   - queueLimit: how many bytes of memory may wait to be written.
    ///   - onTrouble: told in a sentence, once, when the log cannot be written or opened anew, and when it can again. Called
    ///     on the writer's thread.
    /// - Throws: `TrammelError` when the file cannot be opened or the thread not be started.
    package init(
        _ destination: AccessLogDestination, queueLimit: Int = AccessLogSink.defaultQueueLimit, metrics: AgentMetrics,
        onTrouble: @escaping @Sendable (String) -> Void = { _ in }
    ) throws {
        queue = ChunkQueue(limit: queueLimit)
        counters = Counters(metrics)
        metrics.queue("access_log_bytes", limit: queueLimit) { [queue] in queue.waitingBytes }
        let writer = Writer(
            output: try AccessLogOutput(destination), queue: queue, counters: counters, onTrouble: onTrouble)
        let failure = OwnThread.start("trammel-log") { writer.run() }
        guard failure == 0 else {
            throw TrammelError(
                .unavailable, code: "access_log_thread_failed",
                "cannot start the access log's thread: \(String(cString: strerror(failure)))",
                hint: "raise the limit on threads (ulimit -u, TasksMax)")
        }
    }

    deinit { queue.askStop() }

    /// Takes a chunk with lines and gives an empty one.
    func exchange(_ chunk: LogChunk) -> LogChunk {
        let (empty, lost) = queue.exchange(chunk)
        if lost > 0 { counters.queueFull.add(UInt64(lost)) }
        return empty
    }

    /// Opens the file anew, for a rotation that says so by SIGHUP. A moved file is noticed within a second without it.
    package func reopen() { queue.askReopen() }

    /// Waits until everything handed over so far has been written. False when `seconds` passed first.
    package func waitUntilWritten(seconds: Double) -> Bool { queue.waitUntilWritten(seconds: seconds) }

    /// Writes what is queued, and takes nothing any more. False when `seconds` passed before all was written.
    package func close(seconds: Double) -> Bool {
        queue.askStop()
        return queue.waitUntilWritten(seconds: seconds)
    }

    /// What the thread runs. It holds the queue but not the sink, so that dropping the sink ends it.
    private final class Writer {
        private var output: AccessLogOutput
        private let queue: ChunkQueue
        private let counters: Counters
        private let onTrouble: @Sendable (String) -> Void
        /// What is amiss has been told.
        private var cannotWrite = false
        private var cannotOpen = false

        init(
            output: consuming AccessLogOutput, queue: ChunkQueue, counters: Counters,
            onTrouble: @escaping @Sendable (String) -> Void
        ) {
            self.output = output
            self.queue = queue
            self.counters = counters
            self.onTrouble = onTrouble
        }

        func run() {
            while true {
                switch queue.next() {
                case .write(let batch):
                    if let reopening = output.followRotation(now: .now()) { tell(reopening) }
                    for chunk in batch { write(chunk) }
                    queue.done(batch)
                case .reopen:
                    tell(output.reopen())
                    queue.done([])
                case .stop:
                    return
                }
            }
        }

        private func write(_ chunk: LogChunk) {
            var rest = chunk.contents
            var failure: CInt = 0
            while true {
                errno = 0
                let unwritten = output.write(rest) { queue.wantsTheWriter }
                failure = errno
                rest = UnsafeRawBufferPointer(rebasing: rest[(rest.count - unwritten)...])
                // One that reads nothing may have been replaced: the log is opened anew before anything is given up.
                guard unwritten > 0, queue.takeReopenAsked() else { break }
                tell(output.reopen())
            }
            let lost = rest.count { $0 == UInt8(ascii: "\n") }
            counters.written.add(UInt64(chunk.lines - lost))
            if lost > 0 { counters.writeFailed.add(UInt64(lost)) }
            tell(lost: lost, failure)
        }

        private func tell(_ reopening: AccessLogOutput.Reopening) {
            switch reopening {
            case .done:
                if cannotOpen { onTrouble("the access log \(output.name) could be opened anew") }
                cannotOpen = false
            case .failed(let failure):
                if !cannotOpen {
                    let reason = TrustedPath.doubt(aboutLink: output.name)?.why ?? String(cString: strerror(failure))
                    onTrouble(
                        "the access log \(output.name) cannot be opened anew: \(reason); lines go on into the file that is open"
                    )
                }
                cannotOpen = true
            }
        }

        private func tell(lost: Int, _ failure: CInt) {
            if lost > 0, !cannotWrite, !queue.isStopping {
                onTrouble(
                    "the access log \(output.name) cannot be written: \(String(cString: strerror(failure))); lines are "
                        + "lost and counted in trammel_access_log_dropped_total")
                cannotWrite = true
            } else if lost == 0, cannotWrite {
                onTrouble("the access log \(output.name) can be written again")
                cannotWrite = false
            }
        }
    }
}
