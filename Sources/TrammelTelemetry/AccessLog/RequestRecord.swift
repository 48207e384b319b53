package import TrammelCore

/// One HTTP request, from its first byte to the last of its response.
///
/// The proxy keeps one per request in flight and uses it again: `begin`, fill in, `LoopTelemetry.close`. It cannot be
/// copied, so a request cannot be recorded twice by way of a forgotten copy; closing it again does nothing.
package struct RequestRecord: ~Copyable, Sendable {
    package var flow = Flow()
    package var text = RecordText()
    package var version = HTTPVersion.http1_1
    /// What the metrics call the protocol; `grpc` when the request's content type says so.
    package var isGRPC = false
    /// The response's `grpc-status`, once known.
    package var grpcStatus: UInt8?
    /// 0 when no response was begun.
    package var responseCode: UInt16 = 0
    package var detail = ResponseCodeDetail.none
    /// Bytes of the heads as they came and went; with the bodies they are Istio's request and response sizes.
    package var requestHeadBytes: UInt32 = 0
    package var responseHeadBytes: UInt32 = 0
    /// When the request's head was sent upstream, and when the response's head came back: Envoy's
    /// `x-envoy-upstream-service-time` is the time between them.
    package var upstreamRequestSent: MonotonicTime?
    package var upstreamResponseBegun: MonotonicTime?
    /// What is sent upstream is not the path that the client sent.
    package var isPathRewritten = false
    /// How often an upstream was tried.
    package var attempts: UInt8 = 0
    package private(set) var isOpen = false

    package init() {}

    /// Starts a request on a record that is fresh or closed.
    /// - Parameter connection: what is the same for all requests of the connection: its id, source, addresses, reporter.
    package mutating func begin(at now: MonotonicTime, on connection: Flow) {
        assert(!isOpen, "a request was begun on a record whose last request was not closed")
        text.removeAll()
        flow = connection
        flow.open(at: now)
        version = .http1_1
        isGRPC = false
        grpcStatus = nil
        responseCode = 0
        detail = .none
        requestHeadBytes = 0
        responseHeadBytes = 0
        upstreamRequestSent = nil
        upstreamResponseBegun = nil
        isPathRewritten = false
        attempts = 0
        isOpen = true
    }

    /// False when it was not open: it is recorded only once.
    mutating func close(_ reason: CloseReason, at now: MonotonicTime) -> Bool {
        guard isOpen else { return false }
        isOpen = false
        return flow.close(reason, at: now)
    }

    /// Milliseconds that the upstream took to begin its response; nil when it did not.
    package var upstreamServiceMilliseconds: UInt64? {
        guard let sent = upstreamRequestSent, let begun = upstreamResponseBegun else { return nil }
        return begun.nanoseconds(since: sent) / 1_000_000
    }
}

/// The client's HTTP version, as the log shows it.
package enum HTTPVersion: UInt8, Sendable {
    case http1_0, http1_1, http2

    var label: StaticString {
        switch self {
        case .http1_0: "HTTP/1.0"
        case .http1_1: "HTTP/1.1"
        case .http2: "HTTP/2"
        }
    }
}
