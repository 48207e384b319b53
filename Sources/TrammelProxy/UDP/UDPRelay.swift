import NIOCore
import TrammelCore
import TrammelTelemetry

/// Carries the datagrams of one workload, on one event loop.
final class UDPRelay {
    let workload: AttachedWorkload
    let loop: LoopContext
    let readiness: DescriptorReadiness
    let metrics: UDPMetrics
    let refusesQUIC: Bool
    private let loops: LoopGroup
    private var listeners: [TurnedListener] = []
    private var flows: [UDPFlowKey: UDPFlow] = [:]

    /// Datagrams that are read before others have their turn.
    private static let batch = 64

    init(
        _ workload: AttachedWorkload, on loop: LoopContext, of loops: LoopGroup, readiness: DescriptorReadiness,
        metrics: UDPMetrics, refusesQUIC: Bool
    ) {
        self.workload = workload
        self.loop = loop
        self.loops = loops
        self.readiness = readiness
        self.metrics = metrics
        self.refusesQUIC = refusesQUIC
    }

    var count: Int { flows.count }

    /// Takes a listener over.
    /// - Parameter isHeld: its datagrams wait until `admit`.
    func listen(on turning: any DatagramTurning, isHeld: Bool) throws {
        listeners.append(TurnedListener(turning, relay: self))
        if !isHeld { try admit() }
    }

    func admit() throws {
        for listener in listeners where listener.watch == nil {
            listener.watch = try readiness.watch(listener.turning.descriptor, on: loop.eventLoop, listener)
        }
    }

    /// Takes no more datagrams from the workload; answers to those that it took are passed on.
    func stopListening() {
        for listener in listeners { listener.watch.map(readiness.forget) }
        listeners = []
    }

    /// Carries nothing any more and lets go of everything.
    func close(_ reason: CloseReason) {
        stopListening()
        for flow in flows.values { flow.end(reason, flags: []) }
    }

    fileprivate func readable(_ listener: TurnedListener) {
        let now = MonotonicTime.now()
        withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 16) { buffer in
            for _ in 0..<UDPRelay.batch {
                do {
                    guard let datagram = try listener.turning.receive(into: buffer) else { break }
                    take(
                        datagram, UnsafeRawBufferPointer(rebasing: buffer[..<datagram.count]), over: listener.turning,
                        now)
                } catch {
                    // The kernel does not know whom it was for, or it was sent to the capture port itself.
                    metrics.count(.destinationUnknown)
                }
            }
        }
        listener.watch.map(readiness.again)
    }

    private func take(
        _ datagram: TurnedDatagram, _ bytes: UnsafeRawBufferPointer, over turning: any DatagramTurning,
        _ now: MonotonicTime
    ) {
        guard !datagram.isTruncated else { return metrics.count(.tooLong) }
        let key = UDPFlowKey(client: datagram.client, destination: datagram.destination)
        if let known = flows[key], !known.stillHolds() { known.end(.upstreamClosed, flags: []) }
        guard let flow = flows[key] ?? open(key, bytes, over: turning) else {
            metrics.count(.limit)
            return turning.refuse(.prohibited, from: key.destination, to: key.client)
        }
        flow.take(bytes, at: now)
    }

    /// Nil where the workload has as many as it may.
    private func open(
        _ key: UDPFlowKey, _ first: UnsafeRawBufferPointer, over turning: any DatagramTurning
    ) -> UDPFlow? {
        guard flows.count < loop.settings.udpFlowsPerWorkload, !loop.refusesNew else { return nil }
        if let limit = workload.use.admit(loop.settings.perWorkload) {
            workload.use.note(limit)
            return nil
        }
        let connection = ProxyConnection(
            id: loops.nextConnectionID(), workload: workload, share: loop.share(of: workload), direction: .outbound,
            mode: .tproxy, client: key.client, destination: key.destination)
        loop.opened(connection)
        let flow = UDPFlow(key, connection, over: turning, of: self)
        flows[key] = flow
        metrics.flows.add(1)
        metrics.opened.add()
        flow.begin(first)
        return flow
    }

    func ended(_ flow: UDPFlow) {
        guard flows.removeValue(forKey: flow.key) != nil else { return }
        metrics.flows.add(-1)
        loop.closed(flow.connection)
    }
}

/// One listener of a workload.
private final class TurnedListener: ReadinessOwner {
    let turning: any DatagramTurning
    var watch: DescriptorReadiness.Watch?
    /// The relay lets go of its listeners before it ends.
    private unowned let relay: UDPRelay

    init(_ turning: any DatagramTurning, relay: UDPRelay) {
        self.turning = turning
        self.relay = relay
    }

    func readable() { relay.readable(self) }
}
