import NIOCore
import TrammelCore
import TrammelPolicy
import TrammelTelemetry
package import TrammelWire

/// Bounds and waits of the data path.
package struct ProxySettings: Sendable {
    package var http1 = HTTP1Limits()
    /// Nanoseconds without a byte after which a client's connection is closed (DestinationRule's default is 1 h).
    package var idleTimeout: UInt64 = 3_600_000_000_000
    /// Nanoseconds that an unused upstream connection stays in its pool.
    package var upstreamIdleTimeout: UInt64 = 60_000_000_000
    /// Nanoseconds to wait for a connection where no resource says otherwise.
    package var connectTimeout: UInt64 = 10_000_000_000
    /// Nanoseconds between the first byte of a request's head and its last.
    package var headTimeout: UInt64 = 60_000_000_000
    package var perWorkload = WorkloadLimits()
    /// Nanoseconds without a datagram after which a flow of UDP that was answered ends; one that was not ends after a
    /// quarter of it.
    package var udpIdleTimeout: UInt64 = 120_000_000_000
    /// Flows of UDP of one workload that the agent carries at the same time; the next is refused.
    package var udpFlowsPerWorkload = 4_096

    package init() {}
}

/// What one event loop owns: everything that the request path reads or writes, without a lock, an atomic or a hop.
final class LoopContext {
    let eventLoop: any EventLoop
    let index: Int
    private let loops: Int
    let settings: ProxySettings
    let sockets: any SocketFactory
    let timers: LoopTimers
    let pool = UpstreamPool()
    let balancer = LoadBalancerState()
    let telemetry: LoopTelemetry
    private let labels: LabelRegistry
    let probers: any ProbeRecognition
    let emptyBuffer = ByteBuffer()
    var randomness = Randomness()
    var counters = LoopCounters()
    /// For text that is made while a head is written; empty between uses.
    var scratch: [UInt8] = []
    /// By the slots of endpoints, with the serial of the endpoint that it was looked up for.
    private var peers: [(serial: UInt64, id: PeerID)] = []
    private var lastService: (identity: ServiceIdentity, id: ServiceID)?
    private let passthroughService: ServiceID
    let blackHoleService: ServiceID
    private var isLogFlushScheduled = false
    let spareBuffers = SpareBuffers()
    private let turn: TurnFlush
    let acceptTurns: AcceptTurns
    /// What is in force; a request keeps the one it began with.
    var lease: SnapshotLease
    var snapshot: RuntimeSnapshot { lease.snapshot }
    /// The workloads attached to this agent.
    private(set) var workloads: [WorkloadID: AttachedWorkload] = [:]
    private(set) var connections: [UInt64: ProxyConnection] = [:]
    private(set) var shares: [WorkloadID: WorkloadShare] = [:]
    /// The agent is short of memory: nothing new is taken up.
    private(set) var refusesNew = false
    private var isPressed = false
    private var draining: Set<WorkloadID> = []
    /// Filled when it is asked, and emptied when all have come.
    private var clustersByName: (version: UInt64, clusters: [String: Cluster]) = (.max, [:])
    /// No new requests on old connections: each answer says `connection: close`.
    var isDraining = false
    /// Takes connections to the agent that has taken this one's place; nil as long as there is none.
    private(set) var departure: Departure?
    /// Told when a dial to an endpoint of this node was refused, so that its readiness is looked at again.
    let onConnectRefused: @Sendable (WorkloadID) -> Void

    init(
        eventLoop: any EventLoop, index: Int, of loops: Int = 1, settings: ProxySettings, sockets: any SocketFactory,
        snapshot: RuntimeSnapshot, telemetry: Telemetry, probers: any ProbeRecognition,
        onConnectRefused: @escaping @Sendable (WorkloadID) -> Void
    ) {
        self.eventLoop = eventLoop
        self.index = index
        self.loops = loops
        self.settings = settings
        self.sockets = sockets
        lease = SnapshotLease(snapshot)
        self.telemetry = telemetry.makeLoopTelemetry()
        labels = telemetry.labels
        self.probers = probers
        passthroughService = labels.id(ofService: OutsideTheMesh.labels(OutsideTheMesh.passthrough))
        blackHoleService = labels.id(ofService: OutsideTheMesh.labels(OutsideTheMesh.blackHole))
        self.onConnectRefused = onConnectRefused
        timers = LoopTimers(loop: eventLoop)
        turn = TurnFlush(eventLoop, spareBuffers)
        acceptTurns = AcceptTurns(eventLoop)
    }

    func dialer(for use: WorkloadUse) -> Dialer {
        Dialer(loop: eventLoop, sockets: sockets, use: use) { [self] in counters.portConflicts[$0, default: 0] += 1 }
    }

    func opened(_ connection: ProxyConnection) {
        connection.endsSoon = draining.contains(connection.workload.id)
        connections[connection.id] = connection
    }

    func closed(_ connection: ProxyConnection) {
        connection.waits(for: 0)
        if connections.removeValue(forKey: connection.id) != nil { connection.workload.use.left() }
    }

    /// A connection that is refused as soon as it is accepted leaves a record, too.
    func refused(_ connection: ProxyConnection, _ reason: CloseReason, flags: ResponseFlags) {
        var flow = flow(of: connection)
        flow.flags = flags
        refused(flow, reason, at: connection.openedAt)
    }

    /// So does one of which the kernel did not know where it was going.
    func refusedUnknown(
        _ id: UInt64, _ client: ClientAddress, _ workload: AttachedWorkload, _ direction: TrafficDirection
    ) {
        refused(flow(id, client, workload, direction), .destinationUnknown, at: .now())
    }

    private func refused(_ flow: Flow, _ reason: CloseReason, at now: MonotonicTime) {
        var record = ConnectionRecord()
        record.flow = flow
        telemetry.open(&record, at: now)
        telemetry.close(&record, reason, at: now)
        flushLogSoon()
    }

    func attach(_ workload: AttachedWorkload) {
        workloads[workload.id] = workload
        workload.use.setPressed(isPressed)
    }

    // MARK: Limits

    /// What this loop's connections of a workload take.
    func share(of workload: AttachedWorkload) -> WorkloadShare {
        if let share = shares[workload.id], share.use === workload.use { return share }
        let share = WorkloadShare(workload.use, settings.perWorkload, loops: loops)
        shares[workload.id] = share
        return share
    }

    /// Whether a workload may have one more connection onward, if need be in place of those that wait in pools.
    func mayDial(for share: WorkloadShare) -> Bool {
        share.mayDial || pool.closeIdle(dialledFor: share.use) > 0
    }

    /// Does without what the agent has no memory for.
    /// - Parameter now: connections that have been idle for a while by then are closed, where that is asked for.
    func shed(_ step: OverloadStep, now: MonotonicTime) {
        isPressed = step >= .shrink
        spareBuffers.keepsNone = isPressed
        for workload in workloads.values { workload.use.setPressed(isPressed) }
        refusesNew = step >= .refuseNew
        guard step >= .closeIdle else { return }
        let since = MonotonicTime(nanoseconds: now.nanoseconds - min(now.nanoseconds, OverloadStep.idleTime))
        let before = connections.count + pool.idleCount
        for connection in connections.values { connection.stage?.closeIfIdle(since: since) }
        pool.closeIdle(since: since)
        counters.shedConnections += UInt64(max(0, before - connections.count - pool.idleCount))
    }

    // MARK: Workloads that are let go

    /// What a workload has under way is to come to its end by itself: answers say `connection: close`, and nothing is
    /// kept for calls to come.
    func beginDraining(_ id: WorkloadID) {
        draining.insert(id)
        for connection in connections.values where connection.workload.id == id { connection.endsSoon = true }
        pool.closeIdle(of: id)
    }

    func endDraining(_ id: WorkloadID) {
        draining.remove(id)
        for connection in connections.values where connection.workload.id == id { connection.endsSoon = false }
    }

    /// Ends connections between requests. To be called once each that is in use has had the time to hear that it ends.
    func closeIdle(of id: WorkloadID) {
        for connection in connections.values where connection.workload.id == id { connection.stage?.closeIfIdle() }
        pool.closeIdle(of: id)
    }

    /// How many connections there are of a workload, and carried into its network namespace for others.
    func connectionsLeft(of id: WorkloadID) -> Int {
        connections.values.count { $0.workload.id == id || $0.stage?.upstreamWorkload == id }
    }

    /// Closes what belongs to a workload that is no more.
    func detach(_ id: WorkloadID, endingCallsInto: Bool = false) {
        workloads[id] = nil
        draining.remove(id)
        shares.removeValue(forKey: id)?.letGo()
        for connection in connections.values
        where connection.workload.id == id || (endingCallsInto && connection.stage?.upstreamWorkload == id) {
            connection.stage?.kill(.detached)
        }
        // After those, which may have given theirs back.
        pool.closeIdle(of: id)
    }

    func workload(_ id: WorkloadID) -> AttachedWorkload? { workloads[id] }

    func hasWorkload(_ id: WorkloadID) -> Bool { workloads[id] != nil }

    /// Answers under way say `connection: close`; connections between requests end now.
    func beginDraining() {
        isDraining = true
        for connection in connections.values { connection.stage?.closeIfIdle() }
    }

    /// Every connection goes to another agent as soon as it can.
    func leave(by departure: @escaping Departure) {
        self.departure = departure
        for connection in connections.values { connection.stage?.moveSoon() }
        pool.closeIdle()
    }

    // MARK: Records

    /// What every record of a connection begins with.
    func flow(of connection: ProxyConnection) -> Flow {
        var flow = flow(connection.id, connection.client, connection.workload, connection.direction)
        flow.downstreamLocal = connection.destination
        if let prober = connection.prober { flow.source = labels.id(ofPeer: PeerLabels(prober: prober)) }
        if connection.mode == .redirect { flow.translatedIn = connection.workload.id }
        return flow
    }

    private func flow(
        _ id: UInt64, _ client: ClientAddress, _ workload: AttachedWorkload, _ direction: TrafficDirection
    ) -> Flow {
        var flow = Flow()
        flow.connectionID = id
        flow.downstreamRemote = client
        switch direction {
        case .outbound:
            flow.source = workload.peer
            flow.reporter = .source
        case .inbound:
            flow.destination = workload.peer
            flow.reporter = .destination
            // From off the mesh: nobody has said who it is.
            flow.security = .none
        }
        return flow
    }

    /// Two workloads attached here are known to each other by the kernel's facts behind both, which counts as mutual.
    func note(_ endpoint: Endpoint, in flow: inout Flow) {
        let isHere = endpoint.isAttachedHere(self)
        flow.destination = peerID(of: endpoint)
        flow.reporter = isHere ? .both : .source
        flow.security = isHere ? .mutualTLS : .unknown
    }

    /// Looked up once for each endpoint.
    func peerID(of endpoint: Endpoint) -> PeerID {
        if endpoint.slot < peers.count, peers[endpoint.slot].serial == endpoint.serial {
            return peers[endpoint.slot].id
        }
        let id = endpoint.identity.map { labels.id(ofPeer: PeerLabels($0)) } ?? .unknown
        if endpoint.slot >= peers.count {
            peers.append(contentsOf: repeatElement((0, .unknown), count: endpoint.slot + 1 - peers.count))
        }
        peers[endpoint.slot] = (endpoint.serial, id)
        return id
    }

    /// Counts what long-lived connections have carried so far.
    func reportConnections() {
        for connection in connections.values { connection.stage?.report() }
    }

    /// Numbers that stand for nothing any more are not to be counted under.
    func forget(_ retired: RetiredLabels) {
        // No endpoint has the serial 0.
        for (slot, peer) in peers.enumerated() where retired.contains(peer.id) { peers[slot] = (0, .unknown) }
        lastService = nil
        telemetry.forget(retired)
    }

    func serviceID(named name: CarriedConnection.ServiceName?) -> ServiceID {
        guard let name else { return passthroughService }
        return labels.id(ofService: ServiceLabels(host: name.host, name: name.name, namespace: name.namespace))
    }

    func serviceID(of service: ServiceIdentity?) -> ServiceID {
        guard let service else { return passthroughService }
        if let lastService, lastService.identity === service { return lastService.id }
        let id = labels.id(
            ofService: ServiceLabels(host: service.host, name: service.name, namespace: service.namespace))
        lastService = (service, id)
        return id
    }

    /// Log lines reach the file within a moment of the request's end, without a timer while there are none.
    func flushLogSoon() {
        guard !isLogFlushScheduled else { return }
        isLogFlushScheduled = true
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.scheduleTask(in: LoopContext.logDelay) {
            bound.value.isLogFlushScheduled = false
            bound.value.telemetry.flushLog()
        }
    }

    private static let logDelay = TimeAmount.milliseconds(50)

    // MARK: Writes

    func flushSoon(_ context: ChannelHandlerContext) { turn.flushSoon(context) }

    /// Lends a buffer to write a head into, unless one is lent already.
    func lend(_ buffer: inout ByteBuffer) {
        if buffer.capacity == 0, let spare = spareBuffers.take() { buffer = spare }
    }

    /// - Parameter isLeaving: what is in it may be on its way out until the end of this turn of the loop.
    func takeBack(_ buffer: inout ByteBuffer, isLeaving: Bool) {
        spareBuffers.giveBack(buffer, isLeaving: isLeaving)
        buffer = emptyBuffer
    }

    // MARK: Where a call goes on

    /// A call to an endpoint attached here is carried on by a socket inside the endpoint's own network namespace, with
    /// the client's address kept; any other is dialled from the caller's, so that the network sees the caller.
    func plan(for endpoint: Endpoint, from connection: ProxyConnection) -> UpstreamSocketPlan {
        let client = connection.client.endpoint.address
        let remote = endpoint.address(for: client.family)
        if let id = endpoint.workload, let workload = workloads[id] {
            let keeps =
                workload.keepsSourceAddress && client.family == remote.address.family && !client.isLoopback
                && !remote.address.isLoopback
            return UpstreamSocketPlan(
                workload: id, remote: UpstreamAddress(remote), source: keeps ? shownAddress(of: connection) : nil,
                reachesApplication: true)
        }
        return UpstreamSocketPlan(workload: connection.workload.id, remote: UpstreamAddress(remote), source: nil)
    }

    /// By what address others know whoever called: a machine inside the workload by the workload's own, as when the call
    /// leaves the node.
    private func shownAddress(of connection: ProxyConnection) -> IPAddress {
        let client = connection.client.endpoint.address
        let own = connection.workload.addresses
        guard connection.direction == .outbound, !own.contains(client) else { return client }
        return own.first { $0.family == client.family } ?? client
    }

    /// To the original destination: from the caller's namespace when outbound, and to the application itself with the
    /// client's address kept when inbound.
    func planAsAsked(for connection: ProxyConnection) -> UpstreamSocketPlan {
        let remote = UpstreamAddress(connection.destination.endpoint)
        let client = connection.client.endpoint.address
        let keeps =
            connection.direction == .inbound && connection.workload.keepsSourceAddress
            && client.family == remote.endpoint.address.family && !client.isLoopback
        return UpstreamSocketPlan(
            workload: connection.workload.id, remote: remote, source: keeps ? client : nil,
            reachesApplication: connection.direction == .inbound)
    }

    /// By its name: for connections that another agent has begun, not for requests.
    func cluster(named name: String) -> Cluster? {
        if clustersByName.version != snapshot.version {
            clustersByName = (
                snapshot.version,
                Dictionary(snapshot.clusters.map { ($0.name, $0) }) { first, _ in first }
            )
        }
        return clustersByName.clusters[name]
    }

    func connectRefused(by endpoint: Endpoint) {
        if let id = endpoint.workload, workloads[id] != nil { onConnectRefused(id) }
    }
}

/// Istio's names for traffic that no service stands for: the cluster that it goes to, and the route that sent it there
/// (istio/istio pilot/pkg/networking/util/util.go).
enum OutsideTheMesh {
    static let passthrough = "PassthroughCluster"
    static let blackHole = "BlackHoleCluster"
    static let refusingRoute = "block_all"

    static func labels(_ cluster: String) -> ServiceLabels {
        ServiceLabels(host: cluster, name: cluster, namespace: "unknown")
    }
}

extension PeerLabels {
    /// A prober of the node, by the last part of its cgroup's path: `kubelet.service`.
    fileprivate init(prober: String) {
        let name = prober.split(separator: "/").last.map(String.init) ?? prober
        self.init(
            workload: name, namespace: "node", principal: "unknown", app: "unknown", version: "unknown",
            canonicalService: name, canonicalRevision: "unknown")
    }
}

/// What a loop counts beyond requests and connections.
struct LoopCounters {
    var refusedRequests: [HTTP1Violation: UInt64] = [:]
    var refusedConnections: [AcceptRefusal: UInt64] = [:]
    var portConflicts: [SourcePortConflict: UInt64] = [:]
    /// Requests that were answered 503 for a limit of their workload's.
    var limitedRequests: [WorkloadLimit: UInt64] = [:]
    /// Idle connections that were closed for want of memory.
    var shedConnections: UInt64 = 0
}

extension Endpoint {
    func isAttachedHere(_ loop: LoopContext) -> Bool {
        workload.map { loop.workloads[$0] != nil } ?? false
    }
}
