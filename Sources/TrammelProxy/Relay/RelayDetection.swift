import NIOCore
import TrammelCore
import TrammelPolicy
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

    /// Nanoseconds for which a TLS client's first byte is waited for, where its word decides: longer than for a name that
    /// has begun, since clients connect ahead, and not for ever, since it may be the server that speaks first.
    static let patienceWithSilence: UInt64 = 10_000_000_000

    /// A client that names nobody in time is taken for one that never will.
    func waitForServerName() {
        guard isAwaitingServerName, phase != .closed else { return }
        let now = MonotonicTime.now()
        setDeadline(now + (held.readableBytes > 0 ? Self.patience : Self.patienceWithSilence), now)
    }

    /// Looks at what passes, and neither holds it back nor changes it.
    /// - Returns: the name that the client asks for, once it is known whether there is one.
    func readHello(_ bytes: ByteBuffer) -> ServerName? {
        guard let outcome = bytes.withUnsafeReadableBytes({ hello?.read($0) }) else { return nil }
        var name = ServerName.absent
        switch outcome {
        case .needMore:
            return nil
        case .hello(let said):
            connection.applicationProtocol = .tls
            if let host = said.host {
                connection.serverName = host
                record.text.set(.requestedServerName, host)
                name = .name(host.lowercased())
            }
        case .notTLS, .malformed:
            break
        }
        hello = nil
        return name
    }
}
