import NIOCore
import NIOPosix
import Synchronization
package import TrammelCore

/// The DNS listeners that Capture opened inside a workload's network namespace.
package struct DNSListeners: Sendable {
    package var datagrams: [any DatagramExchange]

    package init(datagrams: [any DatagramExchange] = []) {
        self.datagrams = datagrams
    }

    package var isEmpty: Bool { datagrams.isEmpty }
}

/// The DNS of all attached workloads, each workload's on one of the data loops.
final class DNSService: Sendable {
    private let group: any EventLoopGroup
    private let loops: LoopGroup
    private let metrics: DNSMetrics
    private let limits: DNSLimits
    private let state = Mutex(State())

    private struct State {
        var attached: [WorkloadID: Attached] = [:]
        /// There once a workload has had its DNS captured.
        var readiness: DescriptorReadiness?
    }

    private struct Attached {
        let responder: NIOLoopBound<DNSResponder>
        let loop: any EventLoop
    }

    init(group: any EventLoopGroup, loops: LoopGroup, metrics: DNSMetrics, limits: DNSLimits = DNSLimits()) {
        self.group = group
        self.loops = loops
        self.metrics = metrics
        self.limits = limits
    }

    /// Takes over a workload's listeners; when this returns, its queries are answered.
    func attach(_ workload: AttachedWorkload, _ listeners: DNSListeners) async throws {
        guard !listeners.isEmpty else { return }
        let readiness = try state.withLock { state in
            if let readiness = state.readiness { return readiness }
            let made = try DescriptorReadiness()
            state.readiness = made
            return made
        }
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
        state.withLock { $0.attached[workload.id] = Attached(responder: responder, loop: loop) }
    }

    func detach(_ id: WorkloadID) async {
        guard let attached = state.withLock({ $0.attached.removeValue(forKey: id) }) else { return }
        await end(attached)
    }

    /// Ends the DNS of every workload.
    func close() async {
        let all = state.withLock { state in
            defer { state = State() }
            return state.attached.values.map { $0 }
        }
        for attached in all { await end(attached) }
    }

    private func end(_ attached: Attached) async {
        try? await attached.loop.submit { attached.responder.value.close() }.get()
    }
}
