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
    /// - Parameter queueLimit: how many bytes of memory may wait to be written.
    /// - Throws: `TrammelError` when the file cannot be opened or the thread not be started.
    package init(
        _ destination: AccessLogDestination, queueLimit: Int = AccessLogSink.defaultQueueLimit, metrics: AgentMetrics
    ) throws {
        queue = ChunkQueue(limit: queueLimit)
        counters = Counters(metrics)
        let writer = Writer(output: try AccessLogOutput(destination), queue: queue, counters: counters)
        var thread = pthread_t()
        let box = Unmanaged.passRetained(writer)
        let failure = pthread_create(
            &thread, nil,
            { argument in
                if let argument { Unmanaged<Writer>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, box.toOpaque())
        guard failure == 0 else {
            box.release()
            throw TrammelError(
                .unavailable, code: "access_log_thread_failed",
                "cannot start the access log's thread: \(String(cString: strerror(failure)))",
                hint: "raise the limit on threads (ulimit -u, TasksMax)")
        }
        pthread_detach(thread)
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

        init(output: consuming AccessLogOutput, queue: ChunkQueue, counters: Counters) {
            self.output = output
            self.queue = queue
            self.counters = counters
        }

        func run() {
            blockSignals()
            nameThisThread()
            while true {
                switch queue.next() {
                case .write(let batch):
                    output.followRotation(now: .now())
                    for chunk in batch { write(chunk) }
                    queue.done(batch)
                case .reopen:
                    output.reopen()
                    queue.done([])
                case .stop:
                    return
                }
            }
        }

        /// Signals are for the main thread. A reader that went away shows as EPIPE, not as SIGPIPE.
        private func blockSignals() {
            var all = sigset_t()
            sigfillset(&all)
            pthread_sigmask(SIG_SETMASK, &all, nil)
        }

        private func write(_ chunk: LogChunk) {
            let contents = chunk.contents
            let unwritten = output.write(contents) { queue.isStopping }
            let tail = UnsafeRawBufferPointer(rebasing: contents[(contents.count - unwritten)...])
            let lost = tail.count { $0 == UInt8(ascii: "\n") }
            counters.written.add(UInt64(chunk.lines - lost))
            if lost > 0 { counters.writeFailed.add(UInt64(lost)) }
        }
    }
}

/// For `top -H`. pthread_setname_np is hidden from Swift behind _GNU_SOURCE.
private func nameThisThread() {
    let file = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
    guard file >= 0 else { return }
    _ = "trammel-log".withCString { write(file, $0, 11) }
    _ = close(file)
}
