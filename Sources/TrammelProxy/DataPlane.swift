package import NIOCore
package import NIOPosix
import Synchronization
package import TrammelCore
package import TrammelPolicy
package import TrammelTelemetry
package import TrammelWire

/// The data path as the rest of the agent sees it: listeners and snapshots go in, facts about connections come out.
package final class DataPlane: Sendable {
    let group: MultiThreadedEventLoopGroup
    let loops: LoopGroup
    private let destinations: any OriginalDestinationSource
    private let listeners = Mutex<[WorkloadID: [any Channel]]>([:])
    /// Whether connections wait in their listeners.
    private let isHolding = Mutex(false)
    let dns: DNSService
    let udp: UDPService
    /// Connections that are awaited by whoever looks whether capture works.
    package let probes: PendingProbes
    private let onUnknown: @Sendable (WorkloadID, ClientAddress) -> Void

    /// - Parameters:
    ///   - group: the data loops. The data plane uses no other threads, but for one that waits for datagrams.
    ///   - telemetry: makes a loop's recorder; called once for each loop.
    ///   - probers: tells which inbound connections are health probes by somebody of this node.
    ///   - onConnectRefused: an endpoint of this workload refused a connection; called on a data loop.
    ///   - onDestinationUnknown: a connection of this client was refused because the kernel did not know where it was
    ///     going; called on a data loop.
    package init(
        group: MultiThreadedEventLoopGroup, settings: ProxySettings, snapshot: RuntimeSnapshot,
        sockets: any SocketFactory, destinations: any OriginalDestinationSource, telemetry: Telemetry,
        dns: DNSMetrics = DNSMetrics(AgentMetrics()), udp: UDPMetrics = UDPMetrics(AgentMetrics()),
        probes: PendingProbes = PendingProbes(greeting: ""), probers: any ProbeRecognition = NoProbes(),
        onDestinationUnknown: @escaping @Sendable (WorkloadID, ClientAddress) -> Void = { _, _ in },
        onConnectRefused: @escaping @Sendable (WorkloadID) -> Void
    ) {
        self.group = group
        self.probes = probes
        onUnknown = onDestinationUnknown
        self.destinations = destinations
        var contexts: [LoopContext] = []
        let all = Array(group.makeIterator())
        for (index, loop) in all.enumerated() {
            contexts.append(
                LoopContext(
                    eventLoop: loop, index: index, of: all.count, settings: settings, sockets: sockets,
                    snapshot: snapshot, telemetry: telemetry, probers: probers, onConnectRefused: onConnectRefused))
        }
        loops = LoopGroup(contexts: contexts, settings: settings)
        let readiness = SharedReadiness()
        self.dns = DNSService(
            group: group, loops: loops, destinations: destinations, metrics: dns, readiness: readiness)
        self.udp = UDPService(group: group, loops: loops, metrics: udp, readiness: readiness)
    }

    /// Puts a snapshot into force on every loop; when this returns, every request that begins is decided by it.
    package func publish(_ snapshot: RuntimeSnapshot) async {
        _ = await loops.onEach { $0.lease = SnapshotLease(snapshot) }
    }

    /// Takes over a workload's listeners; when this returns, its connections are accepted and its queries answered.
    package func attach(
        _ workload: AttachedWorkload, listeners: [CaptureListener], dns names: DNSListeners = DNSListeners(),
        datagrams: DatagramListeners = DatagramListeners()
    ) async throws {
        _ = await loops.onEach { $0.attach(workload) }
        var channels: [any Channel] = []
        let isHeld = isHolding.withLock { $0 }
        do {
            for listener in listeners {
                channels.append(try await acceptor(of: listener, workload).listen(on: group).get())
            }
            try await dns.attach(workload, names, isHeld: isHeld)
            try await udp.attach(workload, datagrams, isHeld: isHeld)
        } catch {
            await dns.detach(workload.id)
            for channel in channels { try? await channel.close() }
            _ = await loops.onEach { $0.detach(workload.id) }
            throw error
        }
        self.listeners.withLock { $0[workload.id] = channels }
        // It has ended meanwhile.
        if isHeld, !isHolding.withLock({ $0 }) { await admitConnections() }
    }

    /// Takes over more listeners of a workload that is attached, as when its namespace has got another family.
    package func listen(
        on more: [CaptureListener], dns names: DNSListeners, datagrams: DatagramListeners = DatagramListeners(),
        for workload: AttachedWorkload
    ) async throws {
        var channels: [any Channel] = []
        do {
            for listener in more {
                channels.append(try await acceptor(of: listener, workload).listen(on: group).get())
            }
            try await dns.listen(on: names, for: workload)
            try await udp.listen(on: datagrams, for: workload)
        } catch {
            for channel in channels { try? await channel.close() }
            throw error
        }
        let isAttached = listeners.withLock { listeners in
            guard listeners[workload.id] != nil else { return false }
            listeners[workload.id, default: []] += channels
            return true
        }
        guard !isAttached else {
            if !isHolding.withLock({ $0 }) { await order(.admit) }
            return
        }
        // It was detached meanwhile.
        for channel in channels { try? await channel.close() }
    }

    private func acceptor(of listener: CaptureListener, _ workload: AttachedWorkload) -> CaptureAcceptor {
        CaptureAcceptor(
            listener: listener, workload: workload, loops: loops, destinations: destinations, probes: probes,
            isHeld: isHolding.withLock { $0 }, onUnknown: onUnknown)
    }

    /// From now on connections wait in the listeners that are taken over, as those do that have come to them before this
    /// agent was there: they are not to be judged while only some of the workloads are known. `admitConnections` ends it.
    package func holdConnections() { isHolding.withLock { $0 = true } }

    package func admitConnections() async {
        isHolding.withLock { $0 = false }
        await order(.admit)
        await dns.admit()
        await udp.admit()
    }

    /// Closes a workload's listeners and every connection made through them.
    ///
    /// - Parameter endingCallsInto: also what other workloads have under way to it from inside its namespace, so that
    ///   no socket of the agent's is left there.
    package func detach(_ id: WorkloadID, endingCallsInto: Bool = false) async {
        await stopListening(id)
        _ = await loops.onEach { $0.detach(id, endingCallsInto: endingCallsInto) }
    }

    func takeListeners(of id: WorkloadID) -> [any Channel] {
        listeners.withLock { $0.removeValue(forKey: id) } ?? []
    }

    func endDatagrams(of id: WorkloadID) async {
        await dns.detach(id)
        await udp.detach(id)
    }

    package func connections() async -> [ConnectionFacts] {
        await loops.onEach { loop in loop.connections.values.map(ConnectionFacts.init) }
            .flatMap { $0 }.sorted { $0.id < $1.id }
    }

    /// - Returns: whether there was a connection of that number.
    package func kill(connection id: UInt64) async -> Bool {
        await loops.onEach { loop in
            guard let connection = loop.connections[id] else { return false }
            connection.stage?.kill(.killed)
            return true
        }.contains(true)
    }

    package func metrics() async -> [LoopMetricsSnapshot] {
        await loops.onEach { loop in
            loop.reportConnections()
            return loop.telemetry.snapshot()
        }
    }

    /// What the graph is made of, by loop; nil for a loop that has counted nothing since what `seen` says of it.
    package func edgeTotals(since seen: [UInt64?]) async -> [LoopEdgeTotals?] {
        await loops.onEach { loop in
            loop.reportConnections()
            return loop.telemetry.edgeTotals(since: loop.index < seen.count ? seen[loop.index] : nil)
        }
    }

    /// Lets go of the counters and names of labels that are no longer there.
    package func forget(_ retired: RetiredLabels) async {
        _ = await loops.onEach { $0.forget(retired) }
    }

    /// From now on whatever ends is offered to `tap`, until it is removed.
    package func add(_ tap: Tap) async { _ = await loops.onEach { $0.telemetry.add(tap) } }
    package func remove(_ tap: Tap) async { _ = await loops.onEach { $0.telemetry.remove(tap) } }

    /// How often a connection was refused at accept, by reason.
    package func refusals() async -> [AcceptRefusal: UInt64] {
        await loops.onEach { $0.counters.refusedConnections }
            .reduce(into: [:]) { $0.merge($1, uniquingKeysWith: +) }
    }

    /// How often a request broke HTTP/1.1, by how it did.
    package func violations() async -> [HTTP1Violation: UInt64] {
        await loops.onEach { $0.counters.refusedRequests }.reduce(into: [:]) { $0.merge($1, uniquingKeysWith: +) }
    }

    /// How often a socket that keeps a client's address did not get the port chosen for it, by what became of it.
    package func portConflicts() async -> [SourcePortConflict: UInt64] {
        await loops.onEach { $0.counters.portConflicts }.reduce(into: [:]) { $0.merge($1, uniquingKeysWith: +) }
    }

    /// The services' names for traffic that no service stands for.
    package static let outsideTheMesh = [OutsideTheMesh.passthrough, OutsideTheMesh.blackHole]

    package func openConnections() async -> (outbound: Int, inbound: Int) {
        await loops.onEach { loop in
            let streams = loop.connections.values.lazy.filter { !$0.carriesDatagrams }
            let outbound = streams.count { $0.direction == .outbound }
            return (outbound, streams.count { _ in true } - outbound)
        }.reduce((0, 0)) { ($0.0 + $1.0, $0.1 + $1.1) }
    }

    /// Connections wait in the listeners until `admitConnections`; those that were accepted are under way when this returns.
    package func stopAccepting() async {
        await order(.hold)
        // From the listener's loop to the connection's and back.
        for _ in 0..<2 { _ = await loops.onEach { _ in } }
    }

    private func order(_ order: AcceptPause.Order) async {
        let channels = listeners.withLock { $0.values.flatMap { $0 } }
        for (_, channels) in Dictionary(grouping: channels, by: { ObjectIdentifier($0.eventLoop) }) {
            try? await channels.first?.eventLoop.submit {
                for channel in channels { channel.pipeline.fireUserInboundEventTriggered(order) }
            }.get()
        }
    }

    func stopListening() async {
        // NIO closes a connection that it has accepted, and not yet handed to its loop and back, when the listener's channel
        // closes meanwhile.
        await stopAccepting()
        let channels = listeners.withLock { all in
            defer { all.removeAll() }
            return all.values.flatMap { $0 }
        }
        for channel in channels { try? await channel.close() }
    }

    /// Takes no new connections, lets requests under way end, and closes what is left when `deadline` is over. Names are
    /// answered until then.
    package func drain(for deadline: TimeAmount) async {
        await stopListening()
        await udp.close()
        let end = NIODeadline.now() + deadline
        while true {
            let left = await loops.onEach { loop -> Int in
                loop.beginDraining()
                return loop.connections.count
            }.reduce(0, +)
            if left == 0 || NIODeadline.now() >= end { break }
            try? await group.any().scheduleTask(in: .milliseconds(20)) {}.futureResult.get()
        }
        await dns.close()
        _ = await loops.onEach { loop in
            for connection in loop.connections.values { connection.stage?.kill(.drained) }
            loop.pool.closeIdle()
            loop.telemetry.flushLog()
        }
    }
}

/// What `trammel connections` shows of a connection, as it was at one moment.
package struct ConnectionFacts: Sendable {
    package let id: UInt64
    package let workload: WorkloadIdentity
    package let workloadID: WorkloadID
    package let direction: TrafficDirection
    package let mode: CaptureMode
    package let client: ClientAddress
    package let destination: OriginalDestination
    package let upstream: UpstreamAddress?
    package let applicationProtocol: ApplicationProtocol
    package let serverName: String?
    package let decision: String?
    package let bytesFromClient: UInt64
    package let bytesToClient: UInt64
    package let openedAt: WallTime

    init(_ connection: ProxyConnection) {
        id = connection.id
        workload = connection.workload.identity
        workloadID = connection.workload.id
        direction = connection.direction
        mode = connection.mode
        client = connection.client
        destination = connection.destination
        upstream = connection.upstream
        applicationProtocol = connection.applicationProtocol
        serverName = connection.serverName
        decision = connection.decision
        bytesFromClient = connection.bytesFromClient
        bytesToClient = connection.bytesToClient
        openedAt = connection.openedAtWall
    }
}

/// What the loops' recorders are made of.
package struct Telemetry: Sendable {
    package let labels: LabelRegistry
    /// Nil when there is no access log.
    package let accessLog: AccessLogSink?
    package let format: AccessLogFormat

    private let clients: (any ClientTranslation)?

    /// - Parameter clients: those whose port NAT had to change; nil where none is.
    package init(
        labels: LabelRegistry, accessLog: AccessLogSink?, format: AccessLogFormat = .json,
        clients: (any ClientTranslation)? = nil
    ) {
        self.labels = labels
        self.accessLog = accessLog
        self.format = format
        self.clients = clients
    }

    func makeLoopTelemetry() -> LoopTelemetry {
        LoopTelemetry(registry: labels, sink: accessLog, format: format, clients: clients)
    }
}
