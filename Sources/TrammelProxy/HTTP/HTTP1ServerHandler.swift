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
        /// The last answer is written; it is let out, and what still comes in is thrown away until the client closes.
        case draining
        case closed
    }

    /// The most that is read ahead of a request that is under way, in bytes.
    static let readAhead = 64 * 1024
    /// A body slice up to this size is copied behind the head, so that both leave in one write.
    static let coalesced = 16 * 1024
    /// Body slices up to this size are put together before they are written.
    static let gathered = 512

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
    /// The head as it goes upstream, kept while a second attempt is possible; lent by the loop.
    var requestOut: ByteBuffer
    var attempts = 0
    var hasRequestEnded = false
    var hasResponseBegun = false
    var keepsAlive = false
    /// The request asks to go on in another protocol, so 101 may answer it.
    var asksForUpgrade = false
    /// The client knows the answer's end by the close alone, so a close that is not the end has to be RST.
    var answerEndsAtClose = false
    var startedAt = MonotonicTime(nanoseconds: 0)
    /// Until when the answer has to be there; when `draining`, until when the client has to close.
    var requestDeadline = MonotonicTime.never
    /// Until when the head that has begun to come has to be whole.
    var headDeadline = MonotonicTime.never
    /// What the last look at the connection found to have passed through it, and when that had last changed.
    var lastMoved: UInt64 = 0
    var lastMovedAt = MonotonicTime(nanoseconds: 0)

    /// The response's head, and small body slices behind it, until it is written; lent by the loop.
    var responseOut: ByteBuffer
    var isResponsePending = false

    var deadlineNode: DeadlineNode?
    private var isReading = true
    private var isProcessing = false
    /// More is waiting to be written to the client than may be, so nothing new is begun.
    private(set) var isClientSlow = false
    /// It is being taken to another agent, and neither side is read from.
    var isMoving = false
    var hasInputEnded = false
    /// FIN is out to the client.
    private(set) var isOutputShut = false
    /// In a tunnel: the upstream has said that no more comes from it.
    var hasUpstreamEnded = false
    var lastBucket: PoolBucket?
    /// Dialled ahead of the first request; nil from then on.
    var early: EarlyUpstream?

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
        connection.stage = self
        armIdleDeadline(.now())
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        // A channel that was closed before this handler came is not heard of otherwise.
        abort(.clientReset, flags: .downstreamConnectionTermination)
        self.context = nil
        connection.stage = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        connection.bytesFromClient &+= UInt64(bytes.readableBytes)
        switch phase {
        case .tunnel:
            record.flow.bytesReceived &+= UInt64(bytes.readableBytes)
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
        upstream?.flushSoon()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        isClientSlow = !context.channel.isWritable
        guard !isClientSlow, !isMoving else { return }
        upstream?.setReading(true)
        if phase == .head {
            setReading(true)
            process()
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event as? ChannelEvent {
        case .some(.inputClosed):
            hasInputEnded = true
            switch phase {
            case .tunnel: tunnelInputEnded()
            // What has come may hold the rest of a request, and more requests: each gets its answer.
            case .head, .exchange: process()
            case .draining, .closed: break
            }
        case .some(.outputClosed):
            isOutputShut = true
        default:
            break
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        if phase == .tunnel, isOutputShut, !hasInputEnded {
            // The client's FIN came after ours: NIO closes without telling of it.
            hasInputEnded = true
            tunnelInputEnded()
        }
        // A client that ends in order is heard of in `userInboundEventTriggered`.
        abort(
            hasInputEnded ? .clientClosed : .clientReset, flags: .downstreamConnectionTermination,
            resets: phase == .tunnel)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        abort(.clientReset, flags: .downstreamConnectionTermination, resets: true)
    }

    // MARK: Requests

    /// Takes as many requests out of the inbox as can begin now. Not re-entered: an answer given on the spot comes
    /// back here by the loop, not by recursion.
    func process() {
        guard !isProcessing, !isMoving else { return }
        isProcessing = true
        while true {
            if phase == .exchange {
                if !hasRequestEnded { pumpRequestBody() }
                if phase == .exchange { break }
            }
            guard phase == .head, !isClientSlow, inbox.readableBytes > 0, beginRequest() else { break }
        }
        isProcessing = false
        if inbox.readableBytes == 0 {
            inbox = loop.emptyBuffer
        } else if phase == .exchange || isClientSlow, inbox.readableBytes > Self.readAhead {
            setReading(false)
        }
        if phase == .head, !isClientSlow {
            if hasInputEnded {
                closeAfterFlush()
            } else if inbox.readableBytes > 0 {
                awaitHead()
            }
            if loop.departure != nil { moveSoon() }
        }
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
            lastMovedAt = now
            lastMoved = connection.bytesFromClient &+ connection.bytesToClient
            headDeadline = .never
            phase = .exchange
            hasRequestEnded = false
            hasResponseBegun = false
            answerEndsAtClose = false
            attempts = 0
            keepsAlive = head.keepsAlive && !isEnding
            requestBody = BodyForwarder(head.framing, limits: loop.settings.http1)
            beginRecord(now)
            decide(now)
            inbox.moveReaderIndex(forwardBy: length)
            execute(now)
            if let early {
                self.early = nil
                early.abandon()
            }
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
            requestDeadline = .never
        }
    }

    private func execute(_ now: MonotonicTime) {
        guard let decision else { return }
        record.flow.service =
            decision.isOutsideTheRegistry ? loop.blackHoleService : loop.serviceID(of: decision.service)
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
        record.flow.bytesReceived &+= UInt64(received) &- requestBody.takeFraming()
        switch progress {
        case .more:
            // The client has ended in the middle of its request.
            if hasInputEnded { return abort(.clientClosed, flags: .downstreamConnectionTermination) }
            holdBackIfUpstreamIsSlow()
        case .done:
            hasRequestEnded = true
            upstream.flush()
        case .invalid(let violation):
            upstream.close()
            self.upstream = nil
            if hasResponseBegun {
                breakOff(.invalidRequest, flags: .downstreamProtocolError)
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
        let isLast = !mayContinue && !head.keepsAlive
        decision = nil
        lease = nil
        head.reset()
        giveBackBuffers()
        guard phase == .exchange else { return }
        if mayContinue {
            phase = .head
            armIdleDeadline(now)
            setReading(true)
            process()
        } else {
            drain(now, isLast: isLast)
        }
    }

    /// Nothing more is written of the request that is over.
    func giveBackBuffers() {
        isResponsePending = false
        loop.takeBack(&requestOut, isLeaving: false)
        loop.takeBack(&responseOut, isLeaving: true)
    }

    // MARK: Back-pressure

    func setReading(_ isOn: Bool) {
        guard isReading != isOn, !(isMoving && isOn) else { return }
        isReading = isOn
        context?.setReading(isOn)
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
