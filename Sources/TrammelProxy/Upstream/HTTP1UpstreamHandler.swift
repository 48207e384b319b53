import NIOCore
import TrammelCore
import TrammelWire

/// One HTTP/1 connection to an upstream: reads its responses and hands them to the exchange that it serves, or waits
/// in its pool.
///
/// 1. A response is parsed and judged here; what it becomes for the client is the server handler's business.
/// 2. Bytes that nobody asked for, or an end in the pool, close the connection.
/// 3. After a 101 or a CONNECT's 2xx it passes bytes both ways unread.
final class HTTP1UpstreamHandler: ChannelInboundHandler, DeadlineOwner {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum Phase {
        case idle, head, body, tunnel, flushing, closed
    }

    let bucket: PoolBucket
    private let loop: LoopContext
    private var context: ChannelHandlerContext?
    private var phase = Phase.idle
    private var exchange: HTTP1ServerHandler?
    private var asked = ResponseHead.Request.other
    private var head = ResponseHead()
    private var body: BodyForwarder
    private var inbox = ByteBuffer()
    private var idleNode: DeadlineNode?
    /// Exchanges begun here, the present one included. A failure before the first byte of a later one may be nothing
    /// but the server's idle timeout crossing our request.
    private(set) var exchanges = 0
    /// Nothing of the present response has come yet.
    private(set) var isUntouched = true
    /// Asked for when it is wanted: whoever dialled hears of the connection before `channelActive` does.
    private var ownAddress: IPEndpoint?
    var localAddress: IPEndpoint? {
        if ownAddress == nil { ownAddress = context?.channel.localAddress?.ipEndpoint }
        return ownAddress
    }
    /// In a tunnel: FIN is out to the server.
    private var isOutputShut = false

    init(loop: LoopContext, bucket: PoolBucket) {
        self.loop = loop
        self.bucket = bucket
        body = BodyForwarder(.none, limits: loop.settings.http1)
    }

    // MARK: What the exchange asks for

    var isWritable: Bool { context?.channel.isWritable ?? false }
    var isOpen: Bool { phase != .closed && context != nil }

    func begin(_ exchange: HTTP1ServerHandler, asking request: ResponseHead.Request) {
        self.exchange = exchange
        asked = request
        phase = .head
        head.reset()
        exchanges += 1
        isUntouched = true
        if let idleNode { loop.timers.suspend(idleNode) }
    }

    func write(_ bytes: ByteBuffer) {
        context?.write(wrapOutboundOut(bytes), promise: nil)
    }

    func flush() { context?.flush() }

    func flushSoon() {
        if let context { loop.flushSoon(context) }
    }

    /// Passes the client's end of a tunnel on.
    func closeOutput() {
        context?.flush()
        context?.close(mode: .output, promise: nil)
    }

    func setReading(_ isOn: Bool) {
        context?.setReading(isOn)
    }

    /// The exchange is over and both sides are done with the connection's last message: back to the pool.
    func release(now: MonotonicTime) {
        exchange = nil
        guard isOpen, inbox.readableBytes == 0 else { return close() }
        phase = .idle
        inbox = loop.emptyBuffer
        let node = idleNode ?? DeadlineNode(owner: self)
        idleNode = node
        loop.timers.set(node, now + loop.settings.upstreamIdleTimeout, now: now)
        bucket.checkin(self)
    }

    /// Takes a tunnel's connection out of its channel, which closes without the server's hearing of it.
    func takeSocket() -> CInt? {
        guard phase == .tunnel, let context, let socket = ChannelSocket.copy(of: context.channel) else { return nil }
        close()
        return socket
    }

    var channel: (any Channel)? { context?.channel }

    /// Ends the connection; the exchange hears nothing more from it.
    func close(resets: Bool = false) {
        exchange = nil
        guard phase != .closed else { return }
        phase = .closed
        if let idleNode { loop.timers.cancel(idleNode) }
        guard let context else { return }
        if resets {
            Reset.close(context.channel)
        } else {
            context.close(promise: nil)
        }
    }

    /// Ends a tunnel of which both sides have ended, once the client's last bytes are out.
    func closeAfterFlush() {
        guard phase == .tunnel, let context, context.channel.isActive else { return close() }
        exchange = nil
        phase = .flushing
        let now = MonotonicTime.now()
        let node = idleNode ?? DeadlineNode(owner: self)
        idleNode = node
        loop.timers.set(node, now + loop.settings.idleTimeout, now: now)
        CloseAfterFlush.close(context.channel)
    }

    func deadlinePassed(_ now: MonotonicTime) {
        switch phase {
        case .idle:
            bucket.remove(self)
            close()
        case .flushing:
            close(resets: true)
        case .head, .body, .tunnel, .closed:
            break
        }
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        if phase != .closed { ended(.upstreamReset) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        if inbox.readableBytes > 0 {
            inbox.writeBuffer(&bytes)
            swap(&inbox, &bytes)
            inbox = loop.emptyBuffer
        }
        isUntouched = false
        read(&bytes)
        if bytes.readableBytes > 0, phase != .closed { inbox = bytes }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        exchange?.upstreamReadComplete()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { exchange?.upstreamBecameWritable() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event as? ChannelEvent {
        case .some(.inputClosed): inputClosed()
        case .some(.outputClosed): isOutputShut = true
        default: break
        }
    }

    /// An end in order is told by `inputClosed`, but for one that comes after our own.
    func channelInactive(context: ChannelHandlerContext) {
        if phase == .tunnel, isOutputShut { return inputClosed() }
        ended(.upstreamReset)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        ended(.upstreamReset)
    }

    // MARK: Responses

    private func read(_ bytes: inout ByteBuffer) {
        while true {
            switch phase {
            case .head:
                guard bytes.readableBytes > 0, readHead(&bytes) else { return }
            case .body:
                guard readBody(&bytes) else { return }
            case .tunnel:
                if bytes.readableBytes > 0 { exchange?.upstreamTunnelled(bytes) }
                bytes.moveReaderIndex(to: bytes.writerIndex)
                return
            case .idle:
                // Nobody asked: an answer to nothing, or the rest of one that said it was shorter.
                if bytes.readableBytes > 0 {
                    bucket.remove(self)
                    close()
                }
                return
            case .flushing, .closed:
                return
            }
        }
    }

    /// - Returns: whether a head was read and what follows it can be looked at.
    private func readHead(_ bytes: inout ByteBuffer) -> Bool {
        guard let exchange else { return false }
        head.reset()
        let limits = loop.settings.http1
        let outcome = bytes.withUnsafeReadableBytes { head.parse($0, answering: asked, limits: limits) }
        switch outcome {
        case .needMore:
            return false
        case .invalid(let violation):
            fail(.invalidResponse(violation))
            return false
        case .complete(let length):
            if head.isInterim {
                bytes.withUnsafeReadableBytes { exchange.upstreamInterim(head, $0) }
                bytes.moveReaderIndex(forwardBy: length)
                head.reset()
                return true
            }
            if head.status == 101, !exchange.asksForUpgrade {
                fail(.invalidResponse(.unexpectedUpgrade))
                return false
            }
            let isTunnel = head.status == 101 || (asked == .connect && head.status < 300)
            let dataOnly = bytes.withUnsafeReadableBytes { exchange.upstreamHead(head, $0, isTunnel: isTunnel) }
            bytes.moveReaderIndex(forwardBy: length)
            if isTunnel {
                phase = .tunnel
                exchange.upstreamTunnelOpened()
            } else {
                body = BodyForwarder(head.framing, dataOnly: dataOnly, limits: limits)
                phase = .body
            }
            return true
        }
    }

    /// - Returns: whether the response is over and the next thing can be looked at.
    private func readBody(_ bytes: inout ByteBuffer) -> Bool {
        guard let exchange else { return false }
        let progress = body.take(from: &bytes) { exchange.upstreamBody($0) }
        let framing = body.takeFraming()
        if framing > 0 { exchange.upstreamFraming(framing) }
        switch progress {
        case .more:
            return false
        case .invalid(let violation):
            fail(.invalidResponse(violation))
            return false
        case .done:
            // More than the answer came: the connection is not to be trusted with another request.
            let reusable = head.keepsAlive && bytes.readableBytes == 0
            phase = .idle
            exchange.upstreamFinished(reusable: reusable)
            return phase != .idle
        }
    }

    private func inputClosed() {
        switch phase {
        case .body where body.endsAtClose:
            phase = .idle
            exchange?.upstreamFinished(reusable: false)
        case .tunnel:
            exchange?.upstreamTunnelClosedOutput()
        default:
            ended(.upstreamClosed)
        }
    }

    private func ended(_ failure: UpstreamFailure) {
        if phase == .idle { bucket.remove(self) }
        fail(failure)
    }

    private func fail(_ failure: UpstreamFailure) {
        let told = exchange
        close()
        told?.upstreamFailed(failure)
    }
}

/// Why an upstream connection could not finish an exchange.
enum UpstreamFailure {
    case connectFailed, connectTimeout
    case upstreamClosed, upstreamReset
    case invalidResponse(HTTP1Violation)
}

extension MonotonicTime {
    /// Later than every other time: no deadline.
    static var never: MonotonicTime { MonotonicTime(nanoseconds: .max) }

    /// This time and some nanoseconds.
    static func + (time: MonotonicTime, nanoseconds: UInt64) -> MonotonicTime {
        MonotonicTime(nanoseconds: time.nanoseconds &+ nanoseconds)
    }
}
