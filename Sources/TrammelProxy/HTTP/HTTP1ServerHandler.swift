import NIOCore
import TrammelCore
import TrammelPolicy
import TrammelTelemetry
import TrammelWire

/// The client's side of an HTTP/1 connection: reads requests, has each decided, carries it upstream and answers.
///
/// 1. Requests are judged strictly; what is ambiguous is refused and the connection closed.
/// 2. One request is under way at a time; pipelined ones wait in `inbox`, which is bounded by not reading on.
/// 3. Whichever side is slower holds the other back: bodies pass through slice by slice.
/// 4. Every request ends in `finish`, once, whatever happened to it.
final class HTTP1ServerHandler: ChannelInboundHandler, DeadlineOwner {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum Phase {
        /// Between requests, or in the middle of a head.
        case head
        /// A request is under way.
        case exchange
        /// Bytes pass both ways unread.
        case tunnel
        /// The last answer is written; what still comes in is thrown away until the client closes.
        case draining
        case closed
    }

    /// The most that is read ahead of a request that is under way, in bytes.
    static let readAhead = 64 * 1024
    /// A body slice up to this size is copied behind the head, so that both leave in one write.
    static let coalesced = 16 * 1024

    let loop: LoopContext
    let connection: ProxyConnection
    let route: HTTPRouteContext
    /// What every record of this connection begins with.
    let flow: Flow
    var context: ChannelHandlerContext?
    var phase = Phase.head

    var inbox: ByteBuffer
    var head = RequestHead()
    var record = RequestRecord()

    // The request under way.
    /// Nil between requests. What it refers to lives by `lease`.
    var decision: HTTPDecision?
    private var lease: SnapshotLease?
    var endpoint: Endpoint?
    var upstream: HTTP1UpstreamHandler?
    var requestBody: BodyForwarder
    /// The head as it goes upstream; kept while a second attempt is possible.
    var requestOut: ByteBuffer
    var attempts = 0
    var hasRequestEnded = false
    var hasResponseBegun = false
    var keepsAlive = false
    var startedAt = MonotonicTime(nanoseconds: 0)
    var requestDeadline = MonotonicTime(nanoseconds: .max)

    /// The response's head, and small body slices behind it, until it is written.
    var responseOut: ByteBuffer
    var isResponsePending = false

    private var deadlineNode: DeadlineNode?
    private var isReading = true
    private var isProcessing = false
    var hasInputEnded = false
    /// In a tunnel: the upstream has said that no more comes from it.
    var hasUpstreamEnded = false
    var lastBucket: PoolBucket?

    init(loop: LoopContext, connection: ProxyConnection, route: HTTPRouteContext) {
        self.loop = loop
        self.connection = connection
        self.route = route
        flow = loop.flow(of: connection)
        inbox = loop.emptyBuffer
        requestOut = loop.emptyBuffer
        responseOut = loop.emptyBuffer
        requestBody = BodyForwarder(.none, limits: loop.settings.http1)
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        connection.applicationProtocol = .http
        connection.kill = { [weak self] in self?.abort(.killed, flags: .localReset) }
        connection.drain = { [weak self] in
            if let self, self.phase == .head, self.inbox.readableBytes == 0 { self.close() }
        }
        armIdleDeadline(.now())
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        connection.kill = nil
        connection.drain = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        connection.bytesFromClient &+= UInt64(bytes.readableBytes)
        switch phase {
        case .tunnel:
            upstream?.write(bytes)
            holdBackIfUpstreamIsSlow()
            return
        case .draining, .closed:
            return
        case .head, .exchange:
            break
        }
        if inbox.readableBytes > 0 {
            inbox.writeBuffer(&bytes)
        } else {
            inbox = bytes
        }
        process()
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
        switch phase {
        case .tunnel where hasUpstreamEnded:
            abort(.completed, flags: [])
        case .tunnel:
            upstream?.flush()
            upstream?.closeOutput()
        case .exchange where hasRequestEnded:
            // A half-closed client may still read its answer.
            break
        case .exchange:
            abort(.clientClosed, flags: .downstreamConnectionTermination)
        case .head, .draining, .closed:
            close()
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        abort(.clientClosed, flags: .downstreamConnectionTermination)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        abort(.clientReset, flags: .downstreamConnectionTermination)
    }

    // MARK: Requests

    /// Takes as many requests out of the inbox as can begin now. Not re-entered: an answer given on the spot comes
    /// back here by the loop, not by recursion.
    func process() {
        guard !isProcessing else { return }
        isProcessing = true
        while true {
            if phase == .exchange {
                if !hasRequestEnded { pumpRequestBody() }
                if phase == .exchange { break }
            }
            guard phase == .head, inbox.readableBytes > 0, beginRequest() else { break }
        }
        isProcessing = false
        if inbox.readableBytes == 0 {
            inbox = loop.emptyBuffer
        } else if phase == .exchange, inbox.readableBytes > Self.readAhead {
            setReading(false)
        }
        if phase == .head, hasInputEnded { close() }
    }

    /// - Returns: whether a request was found and begun.
    private func beginRequest() -> Bool {
        let outcome = inbox.withUnsafeReadableBytes { head.parse($0, limits: loop.settings.http1) }
        switch outcome {
        case .needMore:
            return false
        case .invalid(let violation):
            refuse(violation)
            return false
        case .complete(let length):
            let now = MonotonicTime.now()
            startedAt = now
            phase = .exchange
            hasRequestEnded = false
            hasResponseBegun = false
            attempts = 0
            keepsAlive = head.keepsAlive && !hasInputEnded && !loop.isDraining
            requestBody = BodyForwarder(head.framing, limits: loop.settings.http1)
            beginRecord(now)
            decide(now)
            inbox.moveReaderIndex(forwardBy: length)
            execute(now)
            return true
        }
    }

    /// One decision a request, on the snapshot of this moment, which the request keeps to its end.
    private func decide(_ now: MonotonicTime) {
        let entropy = loop.randomness.next()
        lease = loop.lease
        let decision = inbox.withUnsafeReadableBytes { bytes in
            head.withView(bytes) { view in
                let decision = route.decide(view, loop: loop, entropy: entropy)
                recordText(view)
                if let response = decision.response {
                    writeLocalHead(response, decision, view)
                } else {
                    writeRequestHead(decision, view, bytes)
                }
                return decision
            }
        }
        self.decision = decision
        if decision.timeout > 0 {
            requestDeadline = now + decision.timeout
            setDeadline(requestDeadline, now)
        } else {
            requestDeadline = MonotonicTime(nanoseconds: .max)
        }
    }

    private func execute(_ now: MonotonicTime) {
        guard let decision else { return }
        record.flow.service = loop.serviceID(of: decision.service)
        switch decision.verdict {
        case .forward(let cluster):
            connect(to: cluster, excluding: nil, now)
        case .passthrough:
            connectAsAsked(now)
        case .respond(let response):
            answerLocally(response, now)
        }
    }

    /// Sends what has come of the request's body on.
    private func pumpRequestBody() {
        guard let upstream else { return }
        var received = 0
        let progress = requestBody.take(from: &inbox) { slice in
            received &+= slice.readableBytes
            upstream.write(slice)
        }
        record.flow.bytesReceived &+= UInt64(received)
        switch progress {
        case .more:
            holdBackIfUpstreamIsSlow()
        case .done:
            hasRequestEnded = true
            upstream.flush()
        case .invalid(let violation):
            upstream.close()
            self.upstream = nil
            if hasResponseBegun {
                abort(.invalidRequest, flags: .downstreamProtocolError)
            } else {
                refuse(violation)
            }
        }
    }

    /// The upstream connection is there: the head goes out, and what there is of the body.
    func send(over upstream: HTTP1UpstreamHandler, _ now: MonotonicTime) {
        self.upstream = upstream
        lastBucket = upstream.bucket
        connection.upstream = upstream.bucket.key.remote
        record.flow.upstreamHost = upstream.bucket.key.remote
        record.flow.upstreamLocal = upstream.localAddress
        record.upstreamRequestSent = now
        upstream.begin(self, asking: head.isHead ? .head : head.isConnect ? .connect : .other)
        upstream.write(requestOut)
        if head.framing == .none {
            hasRequestEnded = true
            upstream.flushSoon()
        } else {
            pumpRequestBody()
            self.upstream?.flush()
            setReading(true)
        }
    }

    // MARK: The end of a request

    /// Closes the record and gets ready for the next request, or closes the connection.
    func finish(_ reason: CloseReason, now: MonotonicTime) {
        if let endpoint { loop.balancer.finished(endpoint) }
        endpoint = nil
        closeRecord(reason, now)
        let mayContinue = keepsAlive && hasRequestEnded
        decision = nil
        lease = nil
        head.reset()
        guard phase == .exchange else { return }
        if mayContinue {
            phase = .head
            armIdleDeadline(now)
            setReading(true)
            process()
        } else {
            drain(now)
        }
    }

    /// Ends the connection now, and the request under way with it.
    func abort(_ reason: CloseReason, flags: ResponseFlags) {
        guard phase != .closed else { return }
        if phase == .exchange || phase == .tunnel {
            record.flow.flags.formUnion(flags)
            if let endpoint { loop.balancer.finished(endpoint) }
            endpoint = nil
            closeRecord(reason, .now())
        }
        close()
    }

    /// Writes out what is buffered, then says that no more comes, and waits a moment for the client to close: an
    /// immediate close with unread bytes would send RST and might take the answer with it (RFC 9112 section 9.6).
    func drain(_ now: MonotonicTime) {
        guard phase != .closed, let context else { return }
        if hasInputEnded || (hasRequestEnded && inbox.readableBytes == 0) {
            return closeAfterFlush()
        }
        phase = .draining
        inbox = loop.emptyBuffer
        setReading(true)
        setDeadline(now + 1_000_000_000, now)
        let done = context.eventLoop.makePromise(of: Void.self)
        context.writeAndFlush(wrapOutboundOut(loop.emptyBuffer), promise: done)
        let channel = context.channel
        done.futureResult.whenComplete { _ in channel.close(mode: .output, promise: nil) }
    }

    private func closeAfterFlush() {
        guard let context else { return }
        phase = .draining
        setDeadline(MonotonicTime.now() + 5_000_000_000, .now())
        let done = context.eventLoop.makePromise(of: Void.self)
        context.writeAndFlush(wrapOutboundOut(loop.emptyBuffer), promise: done)
        let channel = context.channel
        done.futureResult.whenComplete { _ in channel.close(promise: nil) }
    }

    func close() {
        guard phase != .closed else { return }
        phase = .closed
        if let deadlineNode { loop.timers.cancel(deadlineNode) }
        upstream?.close()
        upstream = nil
        inbox = loop.emptyBuffer
        context?.close(promise: nil)
        loop.closed(connection)
    }

    // MARK: Deadlines and back-pressure

    func setDeadline(_ deadline: MonotonicTime, _ now: MonotonicTime) {
        let node = deadlineNode ?? DeadlineNode(owner: self)
        deadlineNode = node
        loop.timers.set(node, deadline, now: now)
    }

    private func armIdleDeadline(_ now: MonotonicTime) {
        setDeadline(now + loop.settings.idleTimeout, now)
    }

    func deadlinePassed(_ now: MonotonicTime) {
        switch phase {
        case .head where inbox.readableBytes > 0:
            refuseSlowHead()
        case .head, .draining:
            close()
        case .exchange:
            if requestDeadline <= now {
                requestTimedOut(now)
            } else {
                setDeadline(min(requestDeadline, now + loop.settings.idleTimeout), now)
            }
        case .tunnel, .closed:
            break
        }
    }

    func setReading(_ isOn: Bool) {
        guard isReading != isOn else { return }
        isReading = isOn
        try? context?.channel.syncOptions?.setOption(.autoRead, value: isOn)
    }

    private func holdBackIfUpstreamIsSlow() {
        if let upstream, !upstream.isWritable {
            upstream.flush()
            if !upstream.isWritable { setReading(false) }
        }
    }

    func upstreamBecameWritable() {
        guard phase == .tunnel || phase == .exchange else { return }
        setReading(true)
        if phase == .exchange { process() }
    }
}
