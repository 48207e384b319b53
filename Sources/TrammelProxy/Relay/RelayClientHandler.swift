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

    /// The most of a client's bytes that is held until the upstream is there.
    private static let heldBack = 64 * 1024

    enum Phase {
        case detecting, connecting, relaying
        /// Both sides have ended, and what they said last is let out.
        case flushing
        case closed
    }

    let loop: LoopContext
    let connection: ProxyConnection
    let route: HTTPRouteContext
    var context: ChannelHandlerContext?
    var phase: Phase
    var upstream: RelayUpstreamHandler?
    /// It is being taken to another agent, and neither side is read from.
    var isMoving = false
    /// Of a connection that another agent has begun: that one had dialled.
    private let adopted: CarriedConnection?
    /// The service that the connection was decided to be for.
    var service: ServiceIdentity?
    /// How `upstream` was dialled.
    var plan: UpstreamSocketPlan?
    var isUpstreamConnected = false
    /// The client's bytes until there is somebody to send them to.
    var held: ByteBuffer
    private var isReading = true
    var hasInputEnded = false
    var hasUpstreamEnded = false
    /// FIN is out to the client.
    private var isOutputShut = false
    var isClientGone = false
    var deadlineNode: DeadlineNode?
    /// What the last look at the connection found to have passed through it, and when that had last changed.
    var lastMoved: UInt64 = 0
    var lastMovedAt: MonotonicTime
    var endpoint: Endpoint?
    var attempts = 0
    var cluster: Cluster?
    var record = ConnectionRecord()
    /// Reads what a TLS client says first, as it passes; nil once that is known.
    var hello: ClientHelloReader? = ClientHelloReader()
    /// Where the connection goes hangs on the name in the client's hello, so nothing is dialled before that.
    var isAwaitingServerName = false
    /// The client ended before it or the server had said a word. An agent that dials ahead leaves such connections
    /// where the call went elsewhere, so at the other end they are not worth a record.
    var isSilent = false
    /// It is not to be counted or logged, whatever is said: that is done by whoever had it before.
    var staysSilent = false
    /// Why there is nowhere to go with bytes; the client's first ones are waited for all the same, since a request may be
    /// told so, or go elsewhere by its Host.
    var refusal: CloseReason?

    /// - Parameter adopted: what is known of a connection that another agent has begun, and whose way onward is there.
    init(
        loop: LoopContext, connection: ProxyConnection, route: HTTPRouteContext, detects: Bool,
        adopted: CarriedConnection? = nil
    ) {
        self.adopted = adopted
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
        if connection.prober != nil { record.text.set(.routeName, "probe") }
        watchForIdleness(lastMovedAt)
        if let adopted { resume(adopted) } else { dial() }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        // A channel that was closed before it was active is not heard of otherwise. While the upstream's last bytes are
        // let out, the connection holds this handler, and the deadline watches over both.
        if phase != .flushing { end(.clientReset, flags: .downstreamConnectionTermination, resets: true) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        let name = hello == nil ? nil : readHello(bytes)
        switch phase {
        case .flushing, .closed:
            return
        case .relaying:
            pass(bytes)
        case .detecting, .connecting:
            held.writeBuffer(&bytes)
            if phase == .detecting { detect() }
            if let name, phase != .closed { serverNameIsKnown(name) }
            waitForServerName()
            if phase == .connecting, let refusal { return refuse(refusal) }
            if phase == .connecting, isUpstreamConnected { relay() }
            if !isUpstreamConnected, held.readableBytes > Self.heldBack { setReading(false) }
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        upstream?.flushSoon(on: loop)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable, !isMoving { upstream?.setReading(true) }
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
        if let refusal { return refuse(refusal) }
        if isAwaitingServerName { serverNameIsKnown(.absent) }
        if phase == .detecting {
            isSilent = connection.direction == .inbound && held.readableBytes == 0
            phase = .connecting
        }
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

    // MARK: Relaying

    /// From here on bytes pass as they come.
    func relay() {
        guard let upstream, isUpstreamConnected, phase != .closed else { return }
        if phase != .relaying {
            phase = .relaying
            if !isSilent, !record.isOpen { loop.telemetry.open(&record, at: connection.openedAt) }
            if connection.applicationProtocol == .unknown { connection.applicationProtocol = .tcp }
            if held.readableBytes > 0 { pass(held) }
            held = loop.emptyBuffer
            setReading(true)
            upstream.flush()
            moveSoon()
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
        if isSilent, !staysSilent {
            isSilent = false
            loop.telemetry.open(&record, at: connection.openedAt)
        }
        let count = UInt64(bytes.readableBytes)
        connection.bytesToClient &+= count
        record.flow.bytesSent &+= count
        context?.write(wrapOutboundOut(bytes), promise: nil)
    }

    func upstreamReadComplete() {
        guard let context else { return }
        if context.channel.isWritable { return loop.flushSoon(context) }
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

    func setReading(_ isOn: Bool) {
        guard isReading != isOn, !(isMoving && isOn) else { return }
        isReading = isOn
        context?.setReading(isOn)
    }
}
