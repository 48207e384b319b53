import NIOCore
import TrammelCore
import TrammelWire

/// A workload's TCP connection to a resolver: any number of queries, each answered when its answer is there, in
/// whatever order (RFC 7766 section 6.2.1).
///
/// What is not the mesh's goes on over one connection to that resolver, opened when first needed, ids and all as they
/// came: nobody off that connection can forge an answer. The slower side holds the faster one back.
final class DNSStreamHandler: ChannelInboundHandler, DeadlineOwner {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Not touched any more once this is over, and it is over before the responder ends.
    private unowned let responder: DNSResponder
    private struct Waiting {
        let query: DNSQuery
        let insteadOfDenial: DNSAnswer?
    }

    private let resolver: OriginalDestination
    private var context: ChannelHandlerContext?
    private var input = DNSStream()
    private var upstream: ResolverStreamHandler?
    /// What the resolver has not answered yet, by id; a client may use one twice.
    private var waiting: [UInt16: [Waiting]] = [:]
    /// The ids that this resolver's connection was asked under: a zone transfer has more than one message.
    private var asked: Set<UInt16> = []
    private var hasInputEnded = false
    private var isOver = false
    private lazy var idle = DeadlineNode(owner: self)

    init(responder: DNSResponder, resolver: OriginalDestination) {
        self.responder = responder
        self.resolver = resolver
    }

    private var waitingCount: Int { waiting.values.reduce(0) { $0 + $1.count } }

    /// Ends the connection at once.
    func kill() {
        guard let context else { return }
        finish(.cancelled)
        Reset.close(context.channel)
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        touch()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        finish(.cancelled)
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isOver else { return }
        touch()
        var stream = input
        do {
            try unwrapInboundIn(data).withUnsafeReadableBytes { bytes throws(DNSFormatError) in
                try stream.read(bytes) { take($0) }
            }
            input = stream
        } catch {
            // Nothing after this can be told apart.
            responder.metrics.count(.malformed, over: .tcp)
            end(.cancelled)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.flush()
        upstream?.flush()
        holdBack()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        upstream?.setReading(context.channel.isWritable)
        holdBack()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .some(.inputClosed) = event as? ChannelEvent else { return }
        hasInputEnded = true
        // A resolver ends its side when it has answered all.
        if let upstream { upstream.closeOutput() } else { end(.cancelled) }
    }

    func channelInactive(context: ChannelHandlerContext) { finish(.cancelled) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { end(.cancelled) }

    func deadlinePassed(_ now: MonotonicTime) { end(.timeout) }

    // MARK: Queries

    private func take(_ message: UnsafeRawBufferPointer) {
        switch DNSQuery.read(message) {
        case .ignored:
            responder.metrics.count(.ignored, over: .tcp)
        case .malformed(let header, _):
            responder.metrics.count(.malformed, over: .tcp)
            write(DNSQuery.formatError(header))
        case .query(let query):
            switch responder.decide(query) {
            case .answer(let answer):
                responder.metrics.count(answer.result, over: .tcp)
                write(query.response(answer, over: .tcp))
            case .forward(let insteadOfDenial):
                forward(Waiting(query: query, insteadOfDenial: insteadOfDenial), message)
            }
        }
    }

    private func forward(_ asking: Waiting, _ message: UnsafeRawBufferPointer) {
        let query = asking.query
        guard responder.waiting < responder.limits.waiting else {
            responder.metrics.count(.limit, over: .tcp)
            return write(query.response(.failure(.serverFailure), over: .tcp))
        }
        responder.streamsWait(1)
        waiting[query.header.id, default: []].append(asking)
        let upstream = upstream ?? dial()
        asked.insert(query.header.id)
        upstream.write(message)
    }

    private func dial() -> ResolverStreamHandler {
        let made = ResolverStreamHandler(client: self, for: responder.workload.use)
        upstream = made
        asked = []
        let plan = UpstreamSocketPlan(
            workload: responder.workload.id, remote: UpstreamAddress(resolver.endpoint), source: nil)
        let timeout = TimeAmount.nanoseconds(Int64(clamping: responder.limits.patience))
        // After this turn of the loop, for it may fail at once.
        let bound = NIOLoopBound((self, made), eventLoop: responder.loop.eventLoop)
        responder.loop.eventLoop.execute {
            let (client, upstream) = bound.value
            guard client.upstream === upstream else { return }
            guard client.responder.mayDial() else { return client.resolverRefused(.limit) }
            let dialer = client.responder.loop.dialer(for: client.responder.workload.use)
            dialer.connect(plan, timeout: timeout, handler: upstream) { result in
                let (client, upstream) = bound.value
                guard client.upstream === upstream else { return upstream.close() }
                switch result {
                case .success: upstream.connected()
                case .failure: client.resolverRefused(.unreachable)
                }
            }
        }
        return made
    }

    /// Each question is answered by "failure", upon which a client turns to its next resolver at once.
    private func resolverRefused(_ result: DNSMetrics.Result) {
        upstream = nil
        for asking in waiting.values.joined() { write(asking.query.response(.failure(.serverFailure), over: .tcp)) }
        forget(result)
        context?.flush()
        if hasInputEnded { end(.cancelled) } else { holdBack() }
    }

    // MARK: What the resolver says

    func resolverSaid(_ message: UnsafeRawBufferPointer) {
        touch()
        guard let header = DNSHeader(message), header.flags.isResponse, asked.contains(header.id) else { return }
        if var queries = waiting[header.id] {
            let asking = queries.removeFirst()
            waiting[header.id] = queries.isEmpty ? nil : queries
            responder.streamsWait(-1)
            responder.metrics.count(.forwarded, over: .tcp)
            if let instead = asking.insteadOfDenial, header.deniesTheName {
                return write(asking.query.response(instead, over: .tcp))
            }
        }
        write(Array(message))
    }

    func resolverPaused() { context?.flush() }

    func resolverBecameWritable() { holdBack() }

    func resolverEnded() {
        upstream = nil
        // It may hang up on an idle connection; with questions open, the client has to ask anew.
        if hasInputEnded || !waiting.isEmpty { end(.unreachable) } else { holdBack() }
    }

    // MARK: Bounds and the end

    private func write(_ message: [UInt8]) {
        guard let context, let framed = DNSStream.framed(message) else { return }
        context.write(wrapOutboundOut(ByteBuffer(bytes: framed)), promise: nil)
    }

    /// Takes no more from a client that does not read its answers, or whose resolver does not read its questions.
    private func holdBack() {
        guard let channel = context?.channel else { return }
        let isWanted = channel.isWritable && upstream?.isWritable ?? true
        try? channel.syncOptions?.setOption(.autoRead, value: isWanted)
    }

    private func touch() {
        let now = MonotonicTime.now()
        responder.loop.timers.set(idle, now + responder.limits.idle, now: now)
    }

    private func forget(_ result: DNSMetrics.Result) {
        let count = waitingCount
        waiting = [:]
        responder.streamsWait(-count)
        responder.metrics.count(result, over: .tcp, count)
    }

    /// Ends the connection once all that was written is out.
    private func end(_ result: DNSMetrics.Result) {
        guard let context, !isOver else { return }
        finish(result)
        CloseAfterFlush.close(context.channel)
    }

    /// - Parameter result: what has become of the questions that are still open.
    private func finish(_ result: DNSMetrics.Result) {
        guard !isOver else { return }
        isOver = true
        forget(result)
        responder.loop.timers.cancel(idle)
        upstream?.close()
        upstream = nil
        responder.ended(self)
    }
}
