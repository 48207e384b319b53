import NIOCore
import Synchronization
package import TrammelCore
import TrammelTelemetry

/// The listeners that Capture opened inside a workload's network namespace for the datagrams that the agent carries.
package struct DatagramListeners: Sendable {
    package var turnings: [any DatagramTurning] = []
    /// Whether clients that begin with QUIC are refused, so that they take TCP.
    package var refusesQUIC = false

    package init() {}
}

/// The datagrams of all attached workloads, each workload's on one of the data loops.
final class UDPService: Sendable {
    private let group: any EventLoopGroup
    private let loops: LoopGroup
    private let metrics: UDPMetrics
    private let readiness: SharedReadiness
    private let attached = Mutex<[WorkloadID: (relay: NIOLoopBound<UDPRelay>, loop: any EventLoop)]>([:])

    init(group: any EventLoopGroup, loops: LoopGroup, metrics: UDPMetrics, readiness: SharedReadiness) {
        self.group = group
        self.loops = loops
        self.metrics = metrics
        self.readiness = readiness
    }

    /// Takes over a workload's listeners; when this returns, its datagrams are carried.
    /// - Parameter isHeld: datagrams wait until `admit`.
    func attach(_ workload: AttachedWorkload, _ listeners: DatagramListeners, isHeld: Bool = false) async throws {
        guard !listeners.turnings.isEmpty else { return }
        let readiness = try readiness.get()
        let loop = group.next()
        let relay = try await loop.submit { [loops, metrics] in
            let relay = UDPRelay(
                workload, on: loops.context(of: loop), of: loops, readiness: readiness, metrics: metrics,
                refusesQUIC: listeners.refusesQUIC)
            do {
                for turning in listeners.turnings { try relay.listen(on: turning, isHeld: isHeld) }
            } catch {
                relay.close(.agentError)
                throw error
            }
            return NIOLoopBound(relay, eventLoop: loop)
        }.get()
        attached.withLock { $0[workload.id] = (relay, loop) }
    }

    /// Takes over more listeners of a workload whose datagrams are carried, as of another family.
    func listen(on more: DatagramListeners, for workload: AttachedWorkload) async throws {
        guard !more.turnings.isEmpty, let (relay, loop) = attached.withLock({ $0[workload.id] }) else { return }
        try await loop.submit { for turning in more.turnings { try relay.value.listen(on: turning, isHeld: false) } }
            .get()
    }

    func detach(_ id: WorkloadID) async {
        guard let (relay, loop) = attached.withLock({ $0.removeValue(forKey: id) }) else { return }
        try? await loop.submit { relay.value.close(.detached) }.get()
    }

    /// How many flows a workload has; nil when its datagrams are not carried.
    func flows(of id: WorkloadID) async -> Int? {
        guard let (relay, loop) = attached.withLock({ $0[id] }) else { return nil }
        return try? await loop.submit { relay.value.count }.get()
    }

    func admit() async {
        for (relay, loop) in attached.withLock({ Array($0.values) }) {
            try? await loop.submit { try relay.value.admit() }.get()
        }
    }

    /// Takes no more datagrams from workloads; answers on their way are passed on until `close`.
    /// - Returns: how many flows there are.
    func stopListening() async -> Int {
        var count = 0
        for (relay, loop) in attached.withLock({ Array($0.values) }) {
            count +=
                (try? await loop.submit {
                    relay.value.stopListening(); return relay.value.count
                }.get()) ?? 0
        }
        return count
    }

    /// Ends all that is carried.
    func close() async {
        let all = attached.withLock { attached in
            defer { attached = [:] }
            return Array(attached.values)
        }
        for (relay, loop) in all { try? await loop.submit { relay.value.close(.drained) }.get() }
    }
}
