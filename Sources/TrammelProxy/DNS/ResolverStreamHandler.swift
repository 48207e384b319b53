import NIOCore
import TrammelCore
import TrammelWire

/// The connection over which a resolver is asked for one client's TCP connection.
final class ResolverStreamHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private weak var client: DNSStreamHandler?
    private let use: WorkloadUse
    private var context: ChannelHandlerContext?
    private var isConnected = false
    private var isGone = false
    private var endsOutput = false
    private var input = DNSStream()
    /// Questions until there is a connection.
    private var held = ByteBuffer()

    private static let heldBack = 65_536

    /// - Parameter use: of the workload that asks.
    init(client: DNSStreamHandler, for use: WorkloadUse) {
        self.client = client
        self.use = use
    }

    var isWritable: Bool {
        isConnected ? context?.channel.isWritable ?? true : held.readableBytes < Self.heldBack
    }

    func write(_ message: UnsafeRawBufferPointer) {
        // A message that came over a stream fits its length again.
        held.writeInteger(UInt16(truncatingIfNeeded: message.count))
        held.writeBytes(message)
    }

    func flush() {
        guard isConnected, let context, held.readableBytes > 0 else { return }
        context.writeAndFlush(wrapOutboundOut(held), promise: nil)
        held = ByteBuffer()
    }

    func connected() {
        isConnected = true
        if isGone { return client?.resolverEnded() ?? () }
        flush()
        if endsOutput { closeOutput() }
        client?.resolverBecameWritable()
    }

    func closeOutput() {
        endsOutput = true
        guard isConnected else { return }
        flush()
        context?.close(mode: .output, promise: nil)
    }

    func setReading(_ isOn: Bool) { context?.setReading(isOn, for: use) }

    /// Lets go of the client and closes.
    func close() {
        client = nil
        context?.close(promise: nil)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        use.dialled()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        use.closedOnward()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let client else { return }
        do {
            var stream = input
            try unwrapInboundIn(data).withUnsafeReadableBytes { bytes throws(DNSFormatError) in
                try stream.read(bytes) { client.resolverSaid($0) }
            }
            input = stream
        } catch {
            gone()
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) { client?.resolverPaused() }

    func channelWritabilityChanged(context: ChannelHandlerContext) { client?.resolverBecameWritable() }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(.inputClosed) = event as? ChannelEvent { gone() }
    }

    func channelInactive(context: ChannelHandlerContext) { gone() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { gone() }

    private func gone() {
        guard !isGone else { return }
        isGone = true
        context?.close(promise: nil)
        // Of a connection that never was, the dialler tells.
        if isConnected { client?.resolverEnded() }
    }
}
