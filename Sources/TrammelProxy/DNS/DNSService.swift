import Glibc
import NIOCore
import NIOPosix
import Synchronization
package import TrammelCore

/// The DNS listeners that Capture opened inside a workload's network namespace.
package struct DNSListeners: Sendable {
    package var datagrams: [any DatagramExchange] = []
    package var streams: [CaptureListener] = []

    package init() {}

    package var isEmpty: Bool { datagrams.isEmpty && streams.isEmpty }
}

/// The DNS of all attached workloads, each workload's on one of the data loops.
final class DNSService: Sendable {
    private let group: any EventLoopGroup
    private let loops: LoopGroup
    private let destinations: any OriginalDestinationSource
    private let metrics: DNSMetrics
    private let limits: DNSLimits
    private let readiness: SharedReadiness
    private let state = Mutex(State())

    private struct State {
        var attached: [WorkloadID: Attached] = [:]
    }

    private struct Attached {
        let responder: NIOLoopBound<DNSResponder>
        let loop: any EventLoop
        var channels: [any Channel] = []
    }

    init(
        group: any EventLoopGroup, loops: LoopGroup, destinations: any OriginalDestinationSource, metrics: DNSMetrics,
        limits: DNSLimits = DNSLimits(), readiness: SharedReadiness = SharedReadiness()
    ) {
        self.group = group
        self.loops = loops
        self.destinations = destinations
        self.metrics = metrics
        self.limits = limits
        self.readiness = readiness
    }

    /// Takes over a workload's listeners; when this returns, its queries are answered.
    /// - Parameter isHeld: queries wait until `admit`.
    func attach(_ workload: AttachedWorkload, _ listeners: DNSListeners, isHeld: Bool = false) async throws {
        guard !listeners.isEmpty else { return }
        let readiness = try readiness.get()
        let loop = group.next()
        let responder = try await loop.submit { [loops, limits, metrics] in
            let responder = DNSResponder(
                workload, on: loops.context(of: loop), readiness: readiness, limits: limits, metrics: metrics)
            do {
                for exchange in listeners.datagrams { try responder.listen(on: exchange, isHeld: isHeld) }
            } catch {
                responder.close()
                throw error
            }
            return NIOLoopBound(responder, eventLoop: loop)
        }.get()
        var attached = Attached(responder: responder, loop: loop)
        do {
            for listener in listeners.streams {
                attached.channels.append(try await accept(on: listener, responder, workload, loop).get())
            }
        } catch {
            await end(attached)
            throw error
        }
        state.withLock { $0.attached[workload.id] = attached }
    }

    /// Takes over more listeners of a workload that is attached; of one that is not, or whose DNS is not captured, they
    /// are closed.
    func listen(on more: DNSListeners, for workload: AttachedWorkload) async throws {
        guard !more.isEmpty else { return }
        guard let attached = state.withLock({ $0.attached[workload.id] }) else {
            for listener in more.streams { Glibc.close(listener.socket) }
            return
        }
        try await attached.loop.submit {
            for exchange in more.datagrams { try attached.responder.value.listen(on: exchange) }
        }.get()
        for listener in more.streams {
            let channel = try await accept(on: listener, attached.responder, workload, attached.loop).get()
            state.withLock { $0.attached[workload.id]?.channels.append(channel) }
        }
    }

    /// Connections of a workload stay on the loop of its datagrams, so that what it may have open is counted in one place.
    private func accept(
        on listener: CaptureListener, _ responder: NIOLoopBound<DNSResponder>, _ workload: AttachedWorkload,
        _ loop: any EventLoop
    ) -> EventLoopFuture<any Channel> {
        listener.adopt(on: loop, of: loops, for: workload.use, pacing: nil) { [destinations, metrics] channel in
            guard let destination = try? listener.originalDestination(of: channel, destinations),
                !listener.isHitDirectly(destination, workload)
            else {
                metrics.count(.ignored, over: .tcp)
                return Reset.close(channel)
            }
            try responder.value.accept(channel, to: destination)
        }
    }

    func detach(_ id: WorkloadID) async {
        guard let attached = state.withLock({ $0.attached.removeValue(forKey: id) }) else { return }
        await end(attached)
    }

    /// Queries that wait, and TCP connections: of the workload that has most of each.
    func fullest() async -> (waiting: Int, streams: Int) {
        var most = (waiting: 0, streams: 0)
        for attached in state.withLock({ Array($0.attached.values) }) {
            let found = try? await attached.loop.submit {
                (attached.responder.value.waiting, attached.responder.value.streamCount)
            }.get()
            most = (max(most.waiting, found?.0 ?? 0), max(most.streams, found?.1 ?? 0))
        }
        return most
    }

    /// How many queries of a workload wait for a resolver; nil when its DNS is not captured.
    func waiting(of id: WorkloadID) async -> Int? {
        guard let attached = state.withLock({ $0.attached[id] }) else { return nil }
        return try? await attached.loop.submit { attached.responder.value.waiting }.get()
    }

    /// Ends the DNS of every workload.
    func close() async {
        let all = state.withLock { state in
            defer { state = State() }
            return state.attached.values.map { $0 }
        }
        for attached in all { await end(attached) }
        readiness.letGo()
    }

    func admit() async {
        for attached in state.withLock({ Array($0.attached.values) }) {
            try? await attached.loop.submit { try attached.responder.value.admit() }.get()
        }
    }

    /// Takes no more queries; those that wait for a resolver are waited for, for so long.
    func finish(within patience: TimeAmount) async {
        let all = state.withLock { Array($0.attached.values) }
        for attached in all {
            for channel in attached.channels { try? await channel.close() }
            try? await attached.loop.submit { attached.responder.value.stopListening() }.get()
        }
        let end = NIODeadline.now() + patience
        for attached in all {
            while NIODeadline.now() < end,
                let waiting = try? await attached.loop.submit({ attached.responder.value.waiting }).get(), waiting > 0
            {
                try? await attached.loop.scheduleTask(in: .milliseconds(20)) {}.futureResult.get()
            }
        }
        await close()
    }

    private func end(_ attached: Attached) async {
        for channel in attached.channels { try? await channel.close() }
        try? await attached.loop.submit { attached.responder.value.close() }.get()
    }
}
