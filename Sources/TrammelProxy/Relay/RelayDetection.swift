import NIOCore
import TrammelCore
import TrammelTelemetry
import TrammelWire

/// What the client speaks, told from its first bytes.
extension RelayClientHandler {
    /// Nanoseconds for which an unfinished method name is waited for before it is taken for something else.
    static let patience: UInt64 = 500_000_000

    func detect() {
        switch held.withUnsafeReadableBytes(FirstBytes.judge) {
        case .undecided:
            let now = MonotonicTime.now()
            setDeadline(now + Self.patience, now)
        case .http1:
            becomeHTTP()
        case .tls, .other:
            phase = .connecting
        }
    }

    /// Hands the connection over, and the upstream connection that was dialled ahead with it, for the case that the first
    /// request goes to the same place.
    private func becomeHTTP() {
        guard let context else { return }
        phase = .closed
        if let deadlineNode { loop.timers.cancel(deadlineNode) }
        if let endpoint { loop.balancer.finished(endpoint) }
        endpoint = nil
        let bytes = held
        held = loop.emptyBuffer
        let handler = HTTP1ServerHandler(loop: loop, connection: connection, route: route)
        if let upstream, let plan { handler.early = EarlyUpstream(PoolKey(plan), upstream) }
        upstream = nil
        let pipeline = context.pipeline.syncOperations
        do {
            try pipeline.addHandler(handler, position: .after(self))
        } catch {
            handler.early?.abandon()
            phase = .detecting
            return end(.agentError, flags: [], resets: true)
        }
        setReading(true)
        // Out of the way first: what the first request brings about, the connection's end included, is the new handler's
        // to hear.
        let channel = context.channel
        pipeline.removeHandler(context: context, promise: nil)
        channel.pipeline.syncOperations.fireChannelRead(NIOAny(bytes))
        channel.pipeline.syncOperations.fireChannelReadComplete()
    }

    /// Looks at what passes, and neither holds it back nor changes it.
    func readHello(_ bytes: ByteBuffer) {
        guard let outcome = bytes.withUnsafeReadableBytes({ hello?.read($0) }) else { return }
        switch outcome {
        case .needMore:
            return
        case .hello(let said):
            connection.applicationProtocol = .tls
            if let host = said.host {
                connection.serverName = host
                record.text.set(.requestedServerName, host)
            }
        case .notTLS, .malformed:
            break
        }
        hello = nil
    }
}
