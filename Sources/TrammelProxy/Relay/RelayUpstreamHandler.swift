import NIOCore
import TrammelCore

/// The upstream's side of a connection that is carried as bytes; it knows the client's side and nothing else.
final class RelayUpstreamHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private weak var client: RelayClientHandler?
    /// FIN is out to the server.
    private var isOutputShut = false
    private var context: ChannelHandlerContext?
    private(set) var localAddress: IPEndpoint?

    init(client: RelayClientHandler) { self.client = client }

    var isWritable: Bool { context?.channel.isWritable ?? true }

    func write(_ bytes: ByteBuffer) { context?.write(wrapOutboundOut(bytes), promise: nil) }

    func flush() { context?.flush() }

    func closeOutput() {
        context?.flush()
        context?.close(mode: .output, promise: nil)
    }

    func setReading(_ isOn: Bool) {
        try? context?.channel.syncOptions?.setOption(.autoRead, value: isOn)
    }

    /// Bytes that the server has not taken yet.
    var waitingBytes: Int { (try? context?.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0 }

    /// Closes once everything is written; the client is told when it cannot be.
    func closeAfterFlush() {
        if let context { CloseAfterFlush.close(context.channel) }
    }

    /// Lets go of the client and closes.
    func detach() { end(resets: false) }

    func end(resets: Bool) {
        client = nil
        guard let context else { return }
        if resets {
            Reset.close(context.channel)
        } else {
            context.close(promise: nil)
        }
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelActive(context: ChannelHandlerContext) {
        localAddress = context.channel.localAddress?.ipEndpoint
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        client?.upstreamSent(unwrapInboundIn(data))
    }

    func channelReadComplete(context: ChannelHandlerContext) { client?.upstreamReadComplete() }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { client?.upstreamBecameWritable() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event as? ChannelEvent {
        case .some(.inputClosed): client?.upstreamEnded()
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
