import TrammelCore

/// How a log line is laid out.
package enum AccessLogFormat: Sendable {
    /// One JSON object a line, with every key.
    case json
    /// As somebody wrote it.
    case plan(LogPlan)

    /// The fields of requests, and of responses, that have to be kept for it.
    var requestCapture: HeaderCapture? {
        guard case .plan(let plan) = self else { return nil }
        return HeaderCapture(plan.requestFields, from: 0)
    }

    var responseCapture: HeaderCapture? {
        guard case .plan(let plan) = self else { return nil }
        return HeaderCapture(plan.responseFields, from: plan.requestFields.count)
    }
}

/// One loop's end of the access log: formats records into a chunk of memory that only this loop touches, and trades the
/// chunk for an empty one when it is full or when the loop's timer calls `flush`.
struct AccessLogBuffer: ~Copyable {
    private let sink: AccessLogSink
    /// Nil for the default layout, which is code of its own.
    private let plan: LogPlan?
    private var chunk = LogChunk()
    private var names: PeerNames
    private var times: TimestampText

    init(
        sink: AccessLogSink, format: AccessLogFormat, registry: LabelRegistry,
        clocks: @escaping @Sendable () -> (MonotonicTime, WallTime)
    ) {
        self.sink = sink
        if case .plan(let plan) = format { self.plan = plan } else { plan = nil }
        names = PeerNames(registry: registry)
        times = TimestampText(clocks: clocks)
    }

    mutating func append(_ record: borrowing RequestRecord) {
        makeRoom(record.flow, text: record.text.count)
        if let plan {
            chunk.appendLine { plan.write(record, names: names, times: &times, to: &$0) }
        } else {
            chunk.appendLine { JSONLine.write(record, names: names, times: &times, to: &$0) }
        }
    }

    mutating func append(_ record: borrowing ConnectionRecord) {
        makeRoom(record.flow, text: record.text.count)
        if let plan {
            chunk.appendLine { plan.write(record, names: names, times: &times, to: &$0) }
        } else {
            chunk.appendLine { JSONLine.write(record, names: names, times: &times, to: &$0) }
        }
    }

    @inline(__always)
    private mutating func makeRoom(_ flow: Flow, text: Int) {
        let names = names.learn(flow.source) + names.learn(flow.destination)
        let length =
            plan.map { $0.longestLine(text: text, names: names) } ?? JSONLine.longestLine(text: text, names: names)
        if chunk.hasRoom(for: length) { return }
        flush()
        chunk.grow(to: length)
    }

    /// Names of peers that are no longer there are forgotten, and the others learnt again.
    mutating func relearnNames() { names.relearn() }

    /// Hands what there is to the writer.
    mutating func flush() {
        if chunk.count > 0 { chunk = sink.exchange(chunk) }
    }
}
