package import TrammelCore

/// What one event loop writes its records to: its own part of the access log and of the metrics, and whoever listens to
/// what ends here.
///
/// Not Sendable: it lives and dies with its loop. Every record ends here, and `close` is the only way to end one, so that
/// each is logged and counted exactly once. Closing a request costs a few hundred nanoseconds and allocates nothing.
package final class LoopTelemetry {
    private var metrics: LoopMetrics
    private var log: AccessLogBuffer?
    /// Nil while nobody listens, which is all that it costs then.
    private var taps: LoopTaps?
    private let registry: LabelRegistry
    private let clients: (any ClientTranslation)?
    /// Which header fields the log's format names; nil where it names none.
    package let requestCapture: HeaderCapture?
    package let responseCapture: HeaderCapture?
    /// From which number on captured fields are the response's.
    package let firstResponseCapture: Int

    /// - Parameters:
    ///   - registry: the agent's one registry of labels.
    ///   - sink: nil when there is no access log.
    ///   - clients: those whose port NAT had to change; nil where none is.
    ///   - clocks: reads both clocks at once.
    package init(
        registry: LabelRegistry, sink: AccessLogSink?, format: AccessLogFormat = .json, limits: MetricLimits = .init(),
        clients: (any ClientTranslation)? = nil,
        clocks: @escaping @Sendable () -> (MonotonicTime, WallTime) = { (.now(), .now()) }
    ) {
        metrics = LoopMetrics(limits: limits)
        self.clients = clients
        self.registry = registry
        requestCapture = sink == nil ? nil : format.requestCapture
        responseCapture = sink == nil ? nil : format.responseCapture
        if case .plan(let plan) = format {
            firstResponseCapture = plan.requestFields.count
        } else {
            firstResponseCapture = 0
        }
        if let sink {
            log = AccessLogBuffer(sink: sink, format: format, registry: registry, clocks: clocks)
        } else {
            log = nil
        }
    }

    /// Ends a request. False, and nothing else, when it has ended before.
    @discardableResult
    package func close(_ record: inout RequestRecord, _ reason: CloseReason, at now: MonotonicTime) -> Bool {
        guard record.close(reason, at: now) else { return false }
        record.flow.showClient(clients)
        let outcome = Outcome(code: record.responseCode, flags: record.flow.flags, grpcStatus: record.grpcStatus)
        metrics.countRequest(
            EdgeKey(record.flow, record.isGRPC ? .grpc : .http), outcome, nanoseconds: record.flow.duration,
            requestBytes: record.flow.bytesReceived &+ UInt64(record.requestHeadBytes),
            responseBytes: record.flow.bytesSent &+ UInt64(record.responseHeadBytes))
        log?.append(record)
        if let taps { taps.offer(record) }
        return true
    }

    /// Begins a connection whose bytes are carried as they are. Its ends have to be filled in before.
    package func open(_ record: inout ConnectionRecord, at now: MonotonicTime) {
        record.begin(at: now)
        if record.carriesDatagrams { return }
        metrics.countConnection(EdgeKey(record.flow, .tcp), .open, opened: 1)
    }

    /// Goes on with a connection that another agent has begun and counted, up to so many bytes.
    package func resume(
        _ record: inout ConnectionRecord, since began: MonotonicTime, received: UInt64, sent: UInt64
    ) {
        record.begin(at: began)
        record.resume(received: received, sent: sent)
    }

    /// Counts the bytes that a long-lived connection moved since the last call. For whoever is about to read
    /// the counters.
    package func report(_ record: inout ConnectionRecord) {
        guard record.isOpen, !record.carriesDatagrams else { return }
        let (received, sent) = record.takeUnreported()
        if received | sent == 0 { return }
        metrics.countConnection(EdgeKey(record.flow, .tcp), .open, sent: sent, received: received)
    }

    /// Ends a connection. False, and nothing else, when it has ended before.
    @discardableResult
    package func close(_ record: inout ConnectionRecord, _ reason: CloseReason, at now: MonotonicTime) -> Bool {
        guard record.close(reason, at: now) else { return false }
        record.flow.showClient(clients)
        let (received, sent) = record.takeUnreported()
        let outcome = Outcome(code: 0, flags: record.flow.flags, grpcStatus: nil)
        if !record.carriesDatagrams {
            metrics.countConnection(EdgeKey(record.flow, .tcp), outcome, sent: sent, received: received, closed: 1)
        }
        log?.append(record)
        if let taps { taps.offer(record) }
        return true
    }

    /// Hands the log lines so far to the writer. For the loop's timer, a few times a second, and at the end.
    package func flushLog() { log?.flush() }

    /// The counters so far, to be added to the other loops'.
    package func snapshot() -> LoopMetricsSnapshot { metrics.snapshot() }

    /// What the graph is made of: the counters so far by edge. Nil when nothing was counted since `last`.
    package func edgeTotals(since last: UInt64?) -> LoopEdgeTotals? {
        metrics.changes == last ? nil : metrics.edgeTotals()
    }

    /// Lets go of the counters of labels that are no longer there.
    package func forget(_ retired: RetiredLabels) {
        metrics.remove { retired.concerns($0) }
        log?.relearnNames()
    }

    // MARK: Taps

    package func add(_ tap: Tap) {
        if taps == nil { taps = LoopTaps(registry: registry) }
        taps?.add(tap)
    }

    package func remove(_ tap: Tap) {
        if taps?.remove(tap) == true { taps = nil }
    }
}
