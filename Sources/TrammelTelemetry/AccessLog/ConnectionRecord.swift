import TrammelCore

/// One connection that was carried as bytes, not as HTTP requests.
///
/// `LoopTelemetry.open` counts it, `report` brings the byte counters up to date while it lives, `close` closes it once.
package struct ConnectionRecord: ~Copyable, Sendable {
    package var flow = Flow()
    package var text = RecordText()
    /// A flow of UDP: it is logged, and counted by whoever carries it and not as a connection of TCP.
    package var carriesDatagrams = false
    package private(set) var isOpen = false
    /// What the metrics have been told already.
    private var reportedReceived: UInt64 = 0
    private var reportedSent: UInt64 = 0

    package init() {}

    mutating func begin(at now: MonotonicTime) {
        assert(!isOpen, "a connection's record was opened twice")
        flow.open(at: now)
        isOpen = true
    }

    mutating func resume(received: UInt64, sent: UInt64) {
        (flow.bytesReceived, flow.bytesSent) = (received, sent)
        (reportedReceived, reportedSent) = (received, sent)
    }

    mutating func close(_ reason: CloseReason, at now: MonotonicTime) -> Bool {
        guard isOpen else { return false }
        isOpen = false
        return flow.close(reason, at: now)
    }

    /// The bytes since the last call.
    mutating func takeUnreported() -> (received: UInt64, sent: UInt64) {
        defer {
            reportedReceived = flow.bytesReceived
            reportedSent = flow.bytesSent
        }
        return (flow.bytesReceived &- reportedReceived, flow.bytesSent &- reportedSent)
    }
}
