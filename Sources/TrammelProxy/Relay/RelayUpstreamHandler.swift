import NIOCore
import TrammelCore

/// The upstream's side of a connection that is carried as bytes; it knows the client's side and nothing else.
final class RelayUpstreamHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private weak var client: RelayClientHandler?
    /// FIN is out to the server.
    private var isOutputShut = false
    private var context: ChannelHandlerContext?
    /// Asked for when it is wanted: whoever dialled hears of the connection before `channelActive` does.
    private var ownAddress: IPEndpoint?
    var localAddress: IPEndpoint? {
        if ownAddress == nil { ownAddress = context?.channel.localAddress?.ipEndpoint }
        return ownAddress
    }
    /// Nil while the connection is being made.
    private var outcome: Result<Void, any Error>?
    /// Who takes the connection over when it is made.
    private var successor: (handler: HTTP1UpstreamHandler, done: (Result<Void, any Error>) -> Void)?
    /// Nobody wants the connection any more.
    private var isAbandoned = false

    init(client: RelayClientHandler) { self.client = client }

    var isWritable: Bool { context?.channel.isWritable ?? true }

    func write(_ bytes: ByteBuffer) { context?.write(wrapOutboundOut(bytes), promise: nil) }

    func flush() { context?.flush() }

    func flushSoon(on loop: LoopContext) {
        if let context { loop.flushSoon(context) }
    }

    func closeOutput() {
        context?.flush()
        context?.close(mode: .output, promise: nil)
    }

    func setReading(_ isOn: Bool) {
        context?.setReading(isOn)
    }

    /// Bytes that the server has not taken yet.
    var waitingBytes: Int { (try? context?.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0 }

    /// Closes once everything is written; the client is told when it cannot be.
    func closeAfterFlush() {
        if let context { CloseAfterFlush.close(context.channel) }
    }

    /// Takes the connection out of its channel, which closes without the server's hearing of it.
    func takeSocket() -> CInt? {
        guard let context, let socket = ChannelSocket.copy(of: context.channel) else { return nil }
        client = nil
        isAbandoned = true
        context.close(promise: nil)
        return socket
    }

    var channel: (any Channel)? { context?.channel }

    /// Lets go of the client and closes.
    func detach() { end(resets: false) }

    func end(resets: Bool) {
        client = nil
        isAbandoned = true
        guard let context else { return }
        if resets {
            Reset.close(context.channel)
        } else {
            context.close(promise: nil)
        }
    }

    // MARK: Handing over

    /// The connection was made, or could not be.
    func dialled(_ result: Result<Void, any Error>) {
        outcome = result
        if isAbandoned {
            detach()
        } else if let successor {
            self.successor = nil
            handOver(to: successor.handler, result, successor.done)
        }
    }

    /// Lets `handler` take the connection over, at once or when it is made.
    /// - Returns: false when it is gone already.
    func handOver(to handler: HTTP1UpstreamHandler, _ done: @escaping (Result<Void, any Error>) -> Void) -> Bool {
        client = nil
        guard let outcome else {
            successor = (handler, done)
            return true
        }
        guard case .success = outcome, let context, context.channel.isActive, !isAbandoned else { return false }
        handOver(to: handler, outcome, done)
        return true
    }

    private func handOver(
        to handler: HTTP1UpstreamHandler, _ result: Result<Void, any Error>,
        _ done: (Result<Void, any Error>) -> Void
    ) {
        guard case .success = result, let context else { return done(result) }
        let pipeline = context.pipeline.syncOperations
        done(Result { try pipeline.addHandler(handler, position: .after(self)) })
        pipeline.removeHandler(context: context, promise: nil)
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let client else { return detach() }
        client.upstreamSent(unwrapInboundIn(data))
    }

    func channelReadComplete(context: ChannelHandlerContext) { client?.upstreamReadComplete() }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { client?.upstreamBecameWritable() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event as? ChannelEvent {
        case .some(.inputClosed):
            guard let client else { return detach() }
            client.upstreamEnded()
        case .some(.outputClosed): isOutputShut = true
        default: break
        }
    }

    /// An end in order is told by `inputClosed`, but for one that comes after our own.
    func channelInactive(context: ChannelHandlerContext) {
        if isOutputShut { client?.upstreamEnded() }
        client?.upstreamReset()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { client?.upstreamReset() }
}

/// Ends a connection with FIN once everything that was written is out.
enum CloseAfterFlush {
    static func close(_ channel: any Channel) {
        let done = channel.eventLoop.makePromise(of: Void.self)
        channel.writeAndFlush(ByteBuffer(), promise: done)
        done.futureResult.whenComplete { _ in channel.close(promise: nil) }
    }
}
