import TrammelCore

/// How a log line is laid out.
package enum AccessLogFormat: Sendable {
    /// One JSON object a line.
    case json
}

/// One loop's end of the access log: formats records into a chunk of memory that only this loop touches, and trades the
/// chunk for an empty one when it is full or when the loop's timer calls `flush`.
struct AccessLogBuffer: ~Copyable {
    private let sink: AccessLogSink
    private let format: AccessLogFormat
    private var chunk = LogChunk()
    private var names: PeerNames
    private var times: TimestampText

    init(
        sink: AccessLogSink, format: AccessLogFormat, registry: LabelRegistry,
        clocks: @escaping @Sendable () -> (MonotonicTime, WallTime)
    ) {
        self.sink = sink
        self.format = format
        names = PeerNames(registry: registry)
        times = TimestampText(clocks: clocks)
    }

    mutating func append(_ record: borrowing RequestRecord) {
        makeRoom(record.flow, text: record.text.count)
        switch format {
        case .json:
            chunk.appendLine { JSONLine.write(record, names: names, times: &times, to: &$0) }
        }
    }

    mutating func append(_ record: borrowing ConnectionRecord) {
        makeRoom(record.flow, text: record.text.count)
        switch format {
        case .json:
            chunk.appendLine { JSONLine.write(record, names: names, times: &times, to: &$0) }
        }
    }

    @inline(__always)
    private mutating func makeRoom(_ flow: Flow, text: Int) {
        let names = names.learn(flow.source) + names.learn(flow.destination)
        let length = JSONLine.longestLine(text: text, names: names)
        if chunk.hasRoom(for: length) { return }
        flush()
        chunk.grow(to: length)
    }

    /// Hands what there is to the writer.
    mutating func flush() {
        if chunk.count > 0 { chunk = sink.exchange(chunk) }
    }
}
