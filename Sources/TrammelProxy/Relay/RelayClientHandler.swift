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
final class RelayClientHandler: ChannelInboundHandler, RemovableChannelHandler, DeadlineOwner {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// The most of a client's bytes that is held until the upstream is there.
    private static let heldBack = 64 * 1024
    /// Nanoseconds for which an unfinished method name is waited for before it is taken for something else.
    private static let patience: UInt64 = 500_000_000

    private enum Phase {
        case detecting, connecting, relaying, closed
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
    private var deadlineNode: DeadlineNode?
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
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        connection.kill = { [weak self] in self?.end(.killed, flags: .localReset, resets: true) }
        record.flow = loop.flow(of: connection)
        dial()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        switch phase {
        case .closed:
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
        guard case .some(.inputClosed) = event as? ChannelEvent else { return }
        hasInputEnded = true
        if phase == .detecting { phase = .connecting }
        if isUpstreamConnected { relay() }
    }

    func channelInactive(context: ChannelHandlerContext) {
        end(hasInputEnded ? .completed : .clientClosed, flags: [], resets: false)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        end(.clientReset, flags: .downstreamConnectionTermination, resets: true)
    }

    func deadlinePassed(_ now: MonotonicTime) {
        guard phase == .detecting else { return }
        phase = .connecting
        if isUpstreamConnected { relay() }
    }

    // MARK: Detection

    private func detect() {
        switch held.withUnsafeReadableBytes(FirstBytes.judge) {
        case .undecided:
            let node = deadlineNode ?? DeadlineNode(owner: self)
            deadlineNode = node
            let now = MonotonicTime.now()
            loop.timers.set(node, now + Self.patience, now: now)
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
            if let deadlineNode { loop.timers.cancel(deadlineNode) }
            if connection.applicationProtocol == .unknown { connection.applicationProtocol = .tcp }
            if held.readableBytes > 0 { pass(held) }
            held = loop.emptyBuffer
            setReading(true)
            upstream.flush()
        }
        if hasInputEnded {
            if hasUpstreamEnded { return end(.completed, flags: [], resets: false) }
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
            end(.completed, flags: [], resets: false)
        } else {
            context.close(mode: .output, promise: nil)
        }
    }

    func upstreamGone(wasReset: Bool) {
        if wasReset {
            end(.upstreamReset, flags: .upstreamConnectionTermination, resets: true)
        } else {
            end(hasUpstreamEnded ? .completed : .upstreamClosed, flags: [], resets: false)
        }
    }

    private func setReading(_ isOn: Bool) {
        guard isReading != isOn else { return }
        isReading = isOn
        try? context?.channel.syncOptions?.setOption(.autoRead, value: isOn)
    }

    /// Ends both sides, once.
    private func end(_ reason: CloseReason, flags: ResponseFlags, resets: Bool) {
        guard phase != .closed else { return }
        phase = .closed
        if let deadlineNode { loop.timers.cancel(deadlineNode) }
        if let endpoint { loop.balancer.finished(endpoint) }
        endpoint = nil
        record.flow.flags.formUnion(flags)
        if let cluster { record.text.set(.upstreamCluster, cluster.name) }
        if !record.isOpen { loop.telemetry.open(&record, at: connection.openedAt) }
        loop.telemetry.close(&record, reason, at: .now())
        loop.flushLogSoon()
        loop.closed(connection)
        connection.kill = nil
        if let upstream {
            self.upstream = nil
            upstream.end(resets: resets)
        }
        guard let context else { return }
        if resets {
            Reset.close(context.channel)
        } else {
            CloseAfterFlush.close(context.channel)
        }
    }

}
