import NIOCore
import NIOPosix
import TrammelCore
import TrammelWire

/// Carries one question to one server over a socket of its own, and hands on what comes back.
///
/// The socket is connected, so the kernel lets in what comes from that server and nothing else, and it has chosen a port
/// that is not to be guessed (RFC 5452 section 9.2). Everything happens on one event loop.
final class ResolverExchange {
    private let loop: any EventLoop
    private var channel: (any Channel)?
    private var isOver = false
    /// Both are let go of at the end.
    private var onMessage: ((UnsafeRawBufferPointer) -> Void)?
    private var onFailure: ((String) -> Void)?

    init(
        on loop: any EventLoop, onMessage: @escaping (UnsafeRawBufferPointer) -> Void,
        onFailure: @escaping (String) -> Void
    ) {
        self.loop = loop
        self.onMessage = onMessage
        self.onFailure = onFailure
    }

    func ask(_ query: [UInt8], _ server: IPEndpoint, over transport: DNSTransport, patience: TimeAmount) {
        let remote: SocketAddress
        do {
            remote = try SocketAddress(ipAddress: "\(server.address)", port: Int(server.port))
        } catch {
            return fail("\(error)")
        }
        let bound = NIOLoopBound(self, eventLoop: loop)
        let opened: EventLoopFuture<any Channel>
        switch transport {
        case .udp:
            opened = DatagramBootstrap(group: loop)
                .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 4096))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(DatagramAnswers(bound.value))
                    }
                }.connect(to: remote)
        case .tcp:
            opened = ClientBootstrap(group: loop).connectTimeout(patience)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(StreamAnswers(bound.value))
                    }
                }.connect(to: remote)
        }
        opened.assumeIsolated().whenComplete { result in
            switch result {
            case .success(let channel):
                if self.isOver { return channel.close(promise: nil) }
                self.channel = channel
                // A message that was written here has at most 512 bytes.
                let framed = transport == .udp ? query : DNSStream.framed(query) ?? []
                let buffer = channel.allocator.buffer(bytes: framed)
                let sent: EventLoopFuture<Void> =
                    transport == .udp
                    ? channel.writeAndFlush(AddressedEnvelope(remoteAddress: remote, data: buffer))
                    : channel.writeAndFlush(buffer)
                sent.assumeIsolated().whenFailure { self.fail(Self.text($0)) }
            case .failure(let error):
                self.fail(Self.text(error))
            }
        }
    }

    /// Nothing is handed on any more.
    func end() {
        isOver = true
        onMessage = nil
        onFailure = nil
        channel?.close(promise: nil)
        channel = nil
    }

    fileprivate func came(_ bytes: UnsafeRawBufferPointer) { onMessage?(bytes) }

    fileprivate func fail(_ why: String) { onFailure?(why) }

    fileprivate static func text(_ error: any Error) -> String {
        switch error {
        case let error as IOError: String(cString: strerror(error.errnoCode))
        case let error as NIOConnectionError:
            error.connectionErrors.first.map { text($0.error) } ?? "no address"
        case is ChannelError: "the connection took too long or ended"
        default: "\(error)"
        }
    }
}

private final class DatagramAnswers: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    private let exchange: ResolverExchange

    init(_ exchange: ResolverExchange) { self.exchange = exchange }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        unwrapInboundIn(data).data.withUnsafeReadableBytes { exchange.came($0) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { exchange.fail(ResolverExchange.text(error)) }
}

private final class StreamAnswers: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let exchange: ResolverExchange
    private var input = DNSStream()

    init(_ exchange: ResolverExchange) { self.exchange = exchange }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var stream = input
        do {
            try unwrapInboundIn(data).withUnsafeReadableBytes { bytes throws(DNSFormatError) in
                try stream.read(bytes) { exchange.came($0) }
            }
            input = stream
        } catch {
            exchange.fail("what it sends over TCP are no DNS messages")
        }
    }

    func channelInactive(context: ChannelHandlerContext) { exchange.fail("it ends the connection without an answer") }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { exchange.fail(ResolverExchange.text(error)) }
}
