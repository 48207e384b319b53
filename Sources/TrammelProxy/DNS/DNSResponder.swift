import NIOCore
import TrammelCore
import TrammelWire

/// Bounds of the DNS of one workload.
struct DNSLimits: Sendable {
    /// Queries that wait for a resolver at the same time. More are dropped, so that a workload whose resolver is down
    /// takes this many sockets and no more.
    var waiting = 1000
    /// TCP connections; more are refused.
    var streams = 250
    /// Nanoseconds until a resolver's answer is no longer waited for: as long as glibc waits.
    var patience: UInt64 = 5_000_000_000
    /// Nanoseconds for which a TCP connection may be without a byte either way.
    var idle: UInt64 = 10_000_000_000
    /// Datagrams that are read before others have their turn.
    var batch = 64
}

/// Answers the DNS of one workload, on one event loop: from the mesh, or by what the resolver that was asked says.
final class DNSResponder {
    let workload: AttachedWorkload
    let loop: LoopContext
    let limits: DNSLimits
    let metrics: DNSMetrics
    private let readiness: DescriptorReadiness
    private var listeners: [DatagramListener] = []
    private var forwarded: [ObjectIdentifier: ForwardedDatagram] = [:]
    private var streams: [ObjectIdentifier: DNSStreamHandler] = [:]
    private var streamsWaiting = 0

    init(
        _ workload: AttachedWorkload, on loop: LoopContext, readiness: DescriptorReadiness, limits: DNSLimits,
        metrics: DNSMetrics
    ) {
        self.workload = workload
        self.loop = loop
        self.readiness = readiness
        self.limits = limits
        self.metrics = metrics
    }

    /// Takes a UDP listener over.
    /// - Parameter isHeld: its queries wait until `admit`.
    func listen(on exchange: any DatagramExchange, isHeld: Bool = false) throws {
        listeners.append(DatagramListener(exchange, responder: self))
        if !isHeld { try admit() }
    }

    func admit() throws {
        for listener in listeners where listener.watch == nil {
            listener.watch = try readiness.watch(listener.exchange.descriptor, on: loop.eventLoop, listener)
        }
    }

    /// Takes no more queries; those under way are answered.
    func stopListening() {
        for listener in listeners { listener.watch.map(readiness.forget) }
        listeners = []
    }

    /// Answers nothing any more and lets go of everything.
    func close() {
        stopListening()
        for query in forwarded.values { letGo(query) }
        forwarded = [:]
        for stream in streams.values { stream.kill() }
    }

    /// How many TCP connections there are.
    var streamCount: Int { streams.count }

    /// How many queries wait for a resolver.
    var waiting: Int { forwarded.count + streamsWaiting }

    func decide(_ query: DNSQuery) -> DNSDecision { DNSDecision(query, from: workload.identity, loop.snapshot) }

    // MARK: UDP

    fileprivate func readable(_ listener: DatagramListener) {
        for _ in 0..<limits.batch {
            do {
                guard let datagram = try listener.exchange.receive() else { break }
                receive(datagram, over: listener.exchange)
            } catch {
                // The kernel does not know whom it was for, or it was sent to the capture port itself.
                metrics.count(.ignored, over: .udp)
            }
        }
        listener.watch.map(readiness.again)
    }

    private func receive(_ datagram: CapturedDatagram, over exchange: any DatagramExchange) {
        func send(_ bytes: [UInt8]) { try? exchange.send(bytes, from: datagram.destination, to: datagram.client) }
        switch DNSQuery.read(datagram.bytes) {
        case .ignored:
            metrics.count(.ignored, over: .udp)
        case .malformed(let header, _):
            metrics.count(.malformed, over: .udp)
            send(DNSQuery.formatError(header))
        case .query(let query):
            switch decide(query) {
            case .answer(let answer):
                metrics.count(answer.result, over: .udp)
                send(query.response(answer, over: .udp))
            case .forward(let insteadOfDenial):
                forward(query, insteadOfDenial, datagram, over: exchange)
            }
        }
    }

    private func forward(
        _ query: DNSQuery, _ insteadOfDenial: DNSAnswer?, _ datagram: CapturedDatagram,
        over exchange: any DatagramExchange
    ) {
        func fail() {
            let bytes = query.response(.failure(.serverFailure), over: .udp)
            try? exchange.send(bytes, from: datagram.destination, to: datagram.client)
        }
        guard waiting < limits.waiting else { return metrics.count(.limit, over: .udp) }
        guard takesSocket() else {
            metrics.count(.limit, over: .udp)
            return fail()
        }
        let asked = try? loop.sockets.withNetworkNamespace(of: workload.id) {
            try ForwardedDatagram(query, insteadOfDenial, datagram, over: exchange, for: self)
        }
        guard let asked, let watch = try? readiness.watch(asked.descriptor, on: loop.eventLoop, asked) else {
            workload.use.closedOnward()
            metrics.count(.unreachable, over: .udp)
            return fail()
        }
        asked.watch = watch
        forwarded[ObjectIdentifier(asked)] = asked
        let now = MonotonicTime.now()
        loop.timers.set(asked.deadline, MonotonicTime(nanoseconds: now.nanoseconds &+ limits.patience), now: now)
    }

    func waitsOn(_ query: ForwardedDatagram) { query.watch.map(readiness.again) }

    func ended(_ query: ForwardedDatagram, _ result: DNSMetrics.Result) {
        guard forwarded.removeValue(forKey: ObjectIdentifier(query)) != nil else { return }
        if result == .unreachable { query.refuse() }
        metrics.count(result, over: .udp)
        letGo(query)
    }

    private func letGo(_ query: ForwardedDatagram) {
        query.watch.map(readiness.forget)
        loop.timers.cancel(query.deadline)
        workload.use.closedOnward()
    }

    // MARK: Sockets

    /// Counts in the socket of a query or of a connection, unless the workload has as many as it may.
    private func takesSocket() -> Bool {
        let share = loop.share(of: workload)
        if share.use.takesDescriptor(upTo: loop.settings.perWorkload.descriptors) { return true }
        share.use.note(.descriptors)
        // For the next.
        _ = loop.pool.closeIdle(dialledFor: share.use)
        return false
    }

    /// Whether a connection to a resolver may be dialled; the connection counts itself.
    func mayDial() -> Bool {
        let share = loop.share(of: workload)
        if loop.mayDial(for: share) { return true }
        share.use.note(.descriptors)
        return false
    }

    // MARK: TCP

    /// Takes a connection over that was going to `resolver`, before its first byte is read.
    func accept(_ channel: any Channel, to resolver: OriginalDestination) throws {
        guard streams.count < limits.streams, takesSocket() else {
            metrics.count(.limit, over: .tcp)
            return Reset.close(channel)
        }
        channel.closeFuture.whenComplete { [use = workload.use] _ in use.closedOnward() }
        let stream = DNSStreamHandler(responder: self, resolver: resolver)
        streams[ObjectIdentifier(stream)] = stream
        do {
            try channel.pipeline.syncOperations.addHandler(stream)
        } catch {
            ended(stream)
            throw error
        }
    }

    func streamsWait(_ change: Int) { streamsWaiting += change }

    func ended(_ stream: DNSStreamHandler) { streams[ObjectIdentifier(stream)] = nil }
}

/// One UDP listener of a workload.
private final class DatagramListener: ReadinessOwner {
    let exchange: any DatagramExchange
    var watch: DescriptorReadiness.Watch?
    /// The responder lets go of its listeners before it ends.
    private unowned let responder: DNSResponder

    init(_ exchange: any DatagramExchange, responder: DNSResponder) {
        self.exchange = exchange
        self.responder = responder
    }

    func readable() { responder.readable(self) }
}

extension DNSAnswer {
    /// How an answer of the mesh's counts.
    var result: DNSMetrics.Result {
        switch self {
        case .records: .answered
        case .noData, .nameError: .noData
        case .failure: .malformed
        }
    }
}
