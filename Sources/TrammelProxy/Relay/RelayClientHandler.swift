import NIOCore
import TrammelCore
import TrammelPolicy
import TrammelTelemetry
import TrammelWire

/// The client's side of a connection that is carried as bytes, and of one of which nobody has said what it speaks.
///
/// 1. The upstream is dialled at once, so that a server that speaks first is heard at once.
/// 2. While undetermined, the client's first bytes are looked at: HTTP goes to an `HTTP1ServerHandler`, anything else
///    is relayed. Whoever speaks first decides.
/// 3. Each side's end and each side's reset reach the other as what they were.
/// 4. The slower side holds the faster one back.
final class RelayClientHandler: ChannelInboundHandler, RemovableChannelHandler, DeadlineOwner, ConnectionStage {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// The most of a client's bytes that is held until the upstream is there.
    private static let heldBack = 64 * 1024
    /// Nanoseconds for which an unfinished method name is waited for before it is taken for something else.
    private static let patience: UInt64 = 500_000_000

    private enum Phase {
        case detecting, connecting, relaying
        /// Both sides have ended, and what they said last is let out.
        case flushing
        case closed
    }

    let loop: LoopContext
    let connection: ProxyConnection
    private let route: HTTPRouteContext
    private var context: ChannelHandlerContext?
    private var phase: Phase
    private var upstream: RelayUpstreamHandler?
    private var isUpstreamConnected = false
    /// The client's bytes until there is somebody to send them to.
    private var held: ByteBuffer
    private var isReading = true
    private var hasInputEnded = false
    private var hasUpstreamEnded = false
    /// FIN is out to the client.
    private var isOutputShut = false
    private var isClientGone = false
    private var deadlineNode: DeadlineNode?
    /// What the last look at the connection found to have passed through it, and when that had last changed.
    private var lastMoved: UInt64 = 0
    private var lastMovedAt: MonotonicTime
    private var endpoint: Endpoint?
    private var attempts = 0
    private var cluster: Cluster?
    private var record = ConnectionRecord()

    init(loop: LoopContext, connection: ProxyConnection, route: HTTPRouteContext, detects: Bool) {
        self.loop = loop
        self.connection = connection
        self.route = route
        phase = detects ? .detecting : .connecting
        held = loop.emptyBuffer
        lastMovedAt = connection.openedAt
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        connection.stage = self
        record.flow = loop.flow(of: connection)
        watchForIdleness(lastMovedAt)
        dial()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        switch phase {
        case .flushing, .closed:
            return
        case .relaying:
            pass(bytes)
        case .detecting, .connecting:
            held.writeBuffer(&bytes)
            if phase == .detecting { detect() }
            if phase == .connecting, isUpstreamConnected { relay() }
            if !isUpstreamConnected, held.readableBytes > Self.heldBack { setReading(false) }
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        upstream?.flush()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { upstream?.setReading(true) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event as? ChannelEvent {
        case .some(.inputClosed): inputEnded()
        case .some(.outputClosed): isOutputShut = true
        default: break
        }
    }

    private func inputEnded() {
        hasInputEnded = true
        if phase == .detecting { phase = .connecting }
        if isUpstreamConnected { relay() }
    }

    /// An end in order is told by `inputClosed`, but for one that comes after our own.
    func channelInactive(context: ChannelHandlerContext) {
        if phase == .relaying, isOutputShut, !hasInputEnded { inputEnded() }
        if phase == .flushing {
            isClientGone = true
            if upstream == nil { close(resets: false) }
        } else {
            end(.clientReset, flags: .downstreamConnectionTermination, resets: true)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        end(.clientReset, flags: .downstreamConnectionTermination, resets: true)
    }

    func deadlinePassed(_ now: MonotonicTime) {
        if phase == .detecting, held.readableBytes > 0 {
            phase = .connecting
            if isUpstreamConnected { relay() }
        }
        guard phase != .closed else { return }
        if isIdle(now) {
            // Neither side has ended, so neither is told that the other has.
            end(.idleTimeout, flags: .streamIdleTimeout, resets: true)
        } else {
            watchForIdleness(now)
        }
    }

    /// Whether nothing has passed either way for the idle time. Found out by looking now and then, so that the bytes
    /// that pass cost nothing: up to a quarter of the idle time late.
    private func isIdle(_ now: MonotonicTime) -> Bool {
        let waiting = (try? context?.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
        let moved =
            connection.bytesFromClient &+ connection.bytesToClient &- UInt64(waiting)
            &- UInt64(upstream?.waitingBytes ?? 0)
        if moved != lastMoved {
            lastMoved = moved
            lastMovedAt = now
        }
        return now.nanoseconds(since: lastMovedAt) >= loop.settings.idleTimeout
    }

    private func watchForIdleness(_ now: MonotonicTime) {
        let idle = loop.settings.idleTimeout
        setDeadline(min(lastMovedAt + idle, now + max(idle / 4, 10_000_000)), now)
    }

    private func setDeadline(_ deadline: MonotonicTime, _ now: MonotonicTime) {
        let node = deadlineNode ?? DeadlineNode(owner: self)
        deadlineNode = node
        loop.timers.set(node, deadline, now: now)
    }

    // MARK: Detection

    private func detect() {
        switch held.withUnsafeReadableBytes(FirstBytes.judge) {
        case .undecided:
            let now = MonotonicTime.now()
            setDeadline(now + Self.patience, now)
        case .http1:
            becomeHTTP()
        case .tls:
            connection.applicationProtocol = .tls
            phase = .connecting
        case .other:
            phase = .connecting
        }
    }

    /// Hands the connection over. The early upstream connection serves no purpose any more: requests choose their own.
    private func becomeHTTP() {
        guard let context else { return }
        phase = .closed
        if let deadlineNode { loop.timers.cancel(deadlineNode) }
        upstream?.detach()
        upstream = nil
        if let endpoint { loop.balancer.finished(endpoint) }
        endpoint = nil
        let bytes = held
        held = loop.emptyBuffer
        let handler = HTTP1ServerHandler(loop: loop, connection: connection, route: route)
        let pipeline = context.pipeline.syncOperations
        do {
            try pipeline.addHandler(handler, position: .after(self))
        } catch {
            return end(.agentError, flags: [], resets: true)
        }
        setReading(true)
        context.fireChannelRead(wrapInboundOut(bytes))
        context.fireChannelReadComplete()
        pipeline.removeHandler(context: context, promise: nil)
    }

    // MARK: The upstream

    private func dial() {
        let decision = route.decideTCP(loop: loop)
        record.flow.service = loop.serviceID(of: decision.service)
        switch decision.verdict {
        case .refuse:
            loop.counters.refusedConnections[.policy, default: 0] += 1
            end(.noRoute, flags: .noRoute, resets: true)
        case .passthrough:
            connect(loop.planAsAsked(for: connection), timeout: loop.settings.connectTimeout)
        case .forward(let cluster):
            self.cluster = cluster
            connect(to: cluster, excluding: nil)
        }
    }

    private func connect(to cluster: Cluster, excluding failed: Endpoint?) {
        guard let chosen = loop.balancer.pick(cluster, entropy: loop.randomness.next(), excluding: failed) else {
            return end(.noUpstream, flags: .noHealthyUpstream, resets: true)
        }
        loop.balancer.started(chosen)
        endpoint = chosen
        record.flow.destination = loop.peerID(of: chosen)
        record.flow.reporter = chosen.isAttachedHere(loop) ? .both : .source
        connect(loop.plan(for: chosen, from: connection), timeout: cluster.connectTimeout)
    }

    private func connect(_ plan: UpstreamSocketPlan, timeout: UInt64) {
        attempts += 1
        connection.upstream = plan.remote
        record.flow.upstreamHost = plan.remote
        let handler = RelayUpstreamHandler(client: self)
        upstream = handler
        loop.dialer.connect(plan, timeout: .nanoseconds(Int64(clamping: timeout)), handler: handler) {
            [weak self] result in
            guard let self, self.upstream === handler else { return handler.detach() }
            switch result {
            case .success:
                self.isUpstreamConnected = true
                self.record.flow.upstreamLocal = handler.localAddress
                if self.phase == .connecting, self.held.readableBytes > 0 || self.hasInputEnded { self.relay() }
            case .failure:
                self.connectFailed()
            }
        }
    }

    private func connectFailed() {
        let failed = endpoint
        if let failed {
            loop.balancer.finished(failed)
            loop.connectRefused(by: failed)
        }
        endpoint = nil
        upstream = nil
        if attempts < 2, let failed, let cluster {
            connect(to: cluster, excluding: failed)
        } else {
            end(.connectFailed, flags: .upstreamConnectionFailure, resets: true)
        }
    }

    // MARK: Relaying

    /// From here on bytes pass as they come.
    private func relay() {
        guard let upstream, isUpstreamConnected, phase != .closed else { return }
        if phase != .relaying {
            phase = .relaying
            loop.telemetry.open(&record, at: connection.openedAt)
            if connection.applicationProtocol == .unknown { connection.applicationProtocol = .tcp }
            if held.readableBytes > 0 { pass(held) }
            held = loop.emptyBuffer
            setReading(true)
            upstream.flush()
        }
        if hasInputEnded {
            if hasUpstreamEnded { return complete() }
            upstream.closeOutput()
        }
    }

    private func pass(_ bytes: ByteBuffer) {
        guard let upstream else { return }
        let count = UInt64(bytes.readableBytes)
        connection.bytesFromClient &+= count
        record.flow.bytesReceived &+= count
        upstream.write(bytes)
        if !upstream.isWritable {
            upstream.flush()
            if !upstream.isWritable { setReading(false) }
        }
    }

    func upstreamSent(_ bytes: ByteBuffer) {
        if phase == .detecting || phase == .connecting { relay() }
        let count = UInt64(bytes.readableBytes)
        connection.bytesToClient &+= count
        record.flow.bytesSent &+= count
        context?.write(wrapOutboundOut(bytes), promise: nil)
    }

    func upstreamReadComplete() {
        guard let context else { return }
        context.flush()
        if !context.channel.isWritable { upstream?.setReading(false) }
    }

    func upstreamBecameWritable() { setReading(true) }

    func upstreamEnded() {
        hasUpstreamEnded = true
        if phase == .detecting || phase == .connecting { relay() }
        guard phase == .relaying, let context else { return }
        context.flush()
        if hasInputEnded {
            complete()
        } else {
            context.close(mode: .output, promise: nil)
        }
    }

    /// The upstream's connection is gone, and not as the last of two ends.
    func upstreamReset() {
        if phase == .flushing {
            upstream = nil
            if isClientGone { close(resets: false) }
        } else {
            context?.flush()
            end(.upstreamReset, flags: .upstreamConnectionTermination, resets: true)
        }
    }

    private func setReading(_ isOn: Bool) {
        guard isReading != isOn else { return }
        isReading = isOn
        try? context?.channel.syncOptions?.setOption(.autoRead, value: isOn)
    }

    // MARK: The end

    func kill(_ reason: CloseReason) { end(reason, flags: .localReset, resets: true) }

    func closeIfIdle() {
        if phase == .detecting, held.readableBytes == 0 { end(.drained, flags: [], resets: false) }
    }

    /// Both sides have ended. Each closes when the last bytes of the other are out.
    private func complete() {
        closeRecord(.completed, flags: [])
        phase = .flushing
        upstream?.closeAfterFlush()
        if let context { CloseAfterFlush.close(context.channel) }
    }

    /// Ends both sides now, once.
    private func end(_ reason: CloseReason, flags: ResponseFlags, resets: Bool) {
        guard phase != .closed else { return }
        if phase != .flushing { closeRecord(reason, flags: flags) }
        close(resets: resets)
    }

    private func closeRecord(_ reason: CloseReason, flags: ResponseFlags) {
        if let endpoint { loop.balancer.finished(endpoint) }
        endpoint = nil
        record.flow.flags.formUnion(flags)
        if let cluster { record.text.set(.upstreamCluster, cluster.name) }
        if !record.isOpen { loop.telemetry.open(&record, at: connection.openedAt) }
        loop.telemetry.close(&record, reason, at: .now())
        loop.flushLogSoon()
    }

    private func close(resets: Bool) {
        phase = .closed
        if let deadlineNode { loop.timers.cancel(deadlineNode) }
        loop.closed(connection)
        if connection.stage === self { connection.stage = nil }
        upstream?.end(resets: resets)
        upstream = nil
        guard let context else { return }
        if resets {
            Reset.close(context.channel)
        } else {
            context.close(promise: nil)
        }
    }
}
