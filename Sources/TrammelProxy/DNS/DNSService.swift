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
    func attach(_ workload: AttachedWorkload, _ listeners: DNSListeners) async throws {
        guard !listeners.isEmpty else { return }
        let readiness = try readiness.get()
        let loop = group.next()
        let responder = try await loop.submit { [loops, limits, metrics] in
            let responder = DNSResponder(
                workload, on: loops.context(of: loop), readiness: readiness, limits: limits, metrics: metrics)
            do {
                for exchange in listeners.datagrams { try responder.listen(on: exchange) }
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
        listener.adopt(on: loop) { [destinations, metrics] channel in
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
