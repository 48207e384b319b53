import NIOCore
import TrammelCore
import TrammelPolicy
import TrammelTelemetry
import TrammelWire

/// The datagrams between one socket of a workload's and one destination, on one event loop.
///
/// 1. The first decides where all of them go: an endpoint of the service that is there, or the destination itself. When
///    that holds no more, since the endpoint is gone or another policy in force, the flow ends and another begins: one that
///    is never silent would go on for ever to where nobody is.
/// 2. They pass one by one, each way in order, none held back. What the kernel has no room for is lost, as on any way.
/// 3. What the far end's host says by ICMP is said to the workload.
/// 4. It ends when it has been silent for a while: for a quarter of that while nothing was answered.
final class UDPFlow: ReadinessOwner, DeadlineOwner, ConnectionStage {
    let key: UDPFlowKey
    let connection: ProxyConnection
    private let turning: any DatagramTurning
    /// The relay ends its flows before it goes.
    private unowned let relay: UDPRelay
    private var socket: UpstreamDatagrams?
    private var watch: DescriptorReadiness.Watch?
    private(set) lazy var deadline = DeadlineNode(owner: self)
    private var record = ConnectionRecord()
    /// Reads what a client of QUIC begins with, as it passes; nil once that is known.
    private var quic: QUICInitialReader?
    private var endpoint: Endpoint?
    private var cluster: Cluster?
    private var plan: UpstreamSocketPlan?
    /// Of the snapshot by which it was last decided.
    private var version: UInt64 = 0
    /// Set where nothing is carried: how each datagram is answered, and counted.
    private var refusal: (DatagramRefusal, UDPMetrics.Drop, CloseReason, ResponseFlags)?
    private var lastMoved: MonotonicTime
    private var isAnswered = false
    private var isOver = false

    private static let batch = 64

    init(_ key: UDPFlowKey, _ connection: ProxyConnection, over turning: any DatagramTurning, of relay: UDPRelay) {
        self.key = key
        self.connection = connection
        self.turning = turning
        self.relay = relay
        lastMoved = connection.openedAt
        connection.applicationProtocol = .udp
    }

    // MARK: Beginning

    /// - Parameter first: its first datagram.
    func begin(_ first: UnsafeRawBufferPointer) {
        connection.stage = self
        record.flow = relay.loop.flow(of: connection)
        record.carriesDatagrams = true
        // A long header; whether it is one of QUIC's, the reader finds out.
        if first.first.map({ $0 & 0x80 != 0 }) ?? false { quic = QUICInitialReader() }
        decide()
        if let cluster { record.text.set(.upstreamCluster, cluster.name) }
        relay.loop.telemetry.open(&record, at: connection.openedAt)
        setDeadline(connection.openedAt)
    }

    private func decide() {
        let loop = relay.loop
        let decision = self.decision
        version = loop.snapshot.version
        record.flow.service = loop.serviceID(of: decision.service)
        connection.decision = decision.words
        switch decision.verdict {
        case .refuse:
            record.flow.service = loop.blackHoleService
            record.text.set(.upstreamCluster, OutsideTheMesh.blackHole)
            refusal = (.prohibited, .denied, .denied, .noHealthyUpstream)
        case .passthrough(let cluster):
            self.cluster = cluster
            dial(
                UpstreamSocketPlan(
                    workload: connection.workload.id, remote: UpstreamAddress(connection.destination.endpoint),
                    source: ownSource))
        case .forward(let cluster):
            self.cluster = cluster
            guard let chosen = loop.balancer.pick(cluster, entropy: loop.randomness.next()) else {
                // As kube-proxy answers: by what an application is told of.
                refusal = (.portUnreachable, .noUpstream, .noUpstream, .noHealthyUpstream)
                return
            }
            endpoint = chosen
            loop.balancer.started(chosen)
            loop.note(chosen, in: &record.flow)
            let remote = chosen.address(for: connection.client.endpoint.address.family)
            // An application that listens on loopback only is reached from inside its namespace; any other as the
            // network has it, so that it sees the caller.
            let place =
                remote.address.isLoopback
                ? chosen.workload.flatMap { loop.hasWorkload($0) ? $0 : nil } ?? connection.workload.id
                : connection.workload.id
            dial(
                UpstreamSocketPlan(
                    workload: place, remote: UpstreamAddress(remote),
                    source: place == connection.workload.id ? ownSource : nil))
        }
    }

    private var decision: DatagramDecision {
        decideDatagrams(
            relay.loop.snapshot, source: connection.workload.source, original: connection.destination)
    }

    /// Whether what was decided is what would be decided now.
    func stillHolds() -> Bool {
        guard version != relay.loop.snapshot.version else { return true }
        version = relay.loop.snapshot.version
        // That a client speaks QUIC stays so.
        if case (_, .quic, _, _)? = refusal { return true }
        switch decision.verdict {
        case .refuse:
            if case (_, .denied, _, _)? = refusal { return true }
            return false
        case .passthrough:
            return endpoint == nil && refusal == nil
        case .forward(let cluster):
            guard let endpoint, cluster.endpoints.contains(where: { $0 === endpoint }) else { return false }
            self.cluster = cluster
            return true
        }
    }

    /// The address that the workload has sent from, where it is one that others know.
    private var ownSource: IPAddress? {
        let address = connection.client.endpoint.address
        return address.isLoopback || address.isUnspecified ? nil : address
    }

    private func dial(_ plan: UpstreamSocketPlan) {
        self.plan = plan
        connection.upstream = plan.remote
        record.flow.upstreamHost = plan.remote
        do {
            try relay.loop.sockets.withNetworkNamespace(of: plan.workload) {
                socket = try UpstreamDatagrams(to: plan.remote.endpoint, from: plan.source)
            }
            guard let descriptor = socket?.descriptor else { return }
            record.flow.upstreamLocal = socket?.local
            watch = try relay.readiness.watch(descriptor, on: relay.loop.eventLoop, self)
        } catch DatagramDialFailure.noWay {
            refusal = (.hostUnreachable, .unreachable, .connectFailed, .upstreamConnectionFailure)
        } catch {
            socket = nil
            refusal = (.hostUnreachable, .agent, .agentError, .overloadManager)
        }
    }

    // MARK: From the workload

    func take(_ bytes: UnsafeRawBufferPointer, at now: MonotonicTime) {
        lastMoved = now
        if quic != nil { look(at: bytes) }
        if let refusal {
            relay.metrics.count(refusal.1)
            return turning.refuse(refusal.0, from: key.destination, to: key.client)
        }
        guard socket != nil else { return }
        var result = socket?.send(bytes)
        // An error that is told now is an earlier datagram's; this one has not been sent yet.
        if case .refused(let refusal) = result {
            guard !isRefused(refusal) else { return relay.metrics.count(.unreachable) }
            result = socket?.send(bytes)
        }
        switch result {
        case .done:
            connection.bytesFromClient &+= UInt64(bytes.count)
            record.flow.bytesReceived &+= UInt64(bytes.count)
            relay.metrics.count(.sent, bytes.count)
        case .refused(let refusal):
            relay.metrics.count(.unreachable)
            _ = isRefused(refusal)
        case .blocked: relay.metrics.count(.overflow)
        case .tooLong: relay.metrics.count(.tooLong)
        case .failed, nil: relay.metrics.count(.unreachable)
        }
    }

    /// What the client's hello says; where QUIC is refused, that it speaks QUIC is enough.
    private func look(at bytes: UnsafeRawBufferPointer) {
        guard let outcome = quic?.read(bytes) else { return }
        if outcome.isQUIC { connection.applicationProtocol = .quic }
        if outcome.isQUIC, relay.refusesQUIC {
            quic = nil
            // The answer by which a client learns at once that it has to take TCP.
            refusal = (.portUnreachable, .quic, .denied, .localReset)
            closeSocket()
            return
        }
        if case .hello(let hello, _) = outcome, let host = hello.host {
            connection.serverName = host
            record.text.set(.requestedServerName, host)
        }
        if outcome != .needMore { quic = nil }
    }

    /// Tells the workload what the network has said of an earlier datagram.
    /// - Returns: whether the flow has ended by it, so that the next one is sent elsewhere.
    private func isRefused(_ refusal: DatagramRefusal) -> Bool {
        turning.refuse(refusal, from: key.destination, to: key.client)
        guard let endpoint, !isOver else { return isOver }
        relay.loop.connectRefused(by: endpoint)
        end(.connectFailed, flags: .upstreamConnectionFailure)
        return true
    }

    // MARK: From the far end

    func readable() {
        guard !isOver, socket != nil else { return }
        let now = MonotonicTime.now()
        withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 16) { buffer in
            for _ in 0..<Self.batch {
                switch socket?.receive(into: buffer) {
                case .done(let count):
                    answer(UnsafeRawBufferPointer(rebasing: buffer[..<count]), now)
                case .refused(let refusal):
                    relay.metrics.count(.unreachable)
                    if isRefused(refusal) { return }
                case .tooLong:
                    continue
                case .blocked, .failed, nil:
                    return
                }
            }
        }
        if !isOver, let watch { relay.readiness.again(watch) }
    }

    private func answer(_ bytes: UnsafeRawBufferPointer, _ now: MonotonicTime) {
        lastMoved = now
        isAnswered = true
        guard turning.send(bytes, from: key.destination, to: key.client) else {
            return relay.metrics.count(.overflow)
        }
        connection.bytesToClient &+= UInt64(bytes.count)
        record.flow.bytesSent &+= UInt64(bytes.count)
        relay.metrics.count(.received, bytes.count)
    }

    // MARK: The end

    func deadlinePassed(_ now: MonotonicTime) {
        guard !isOver else { return }
        if now.nanoseconds(since: lastMoved) >= patience {
            if let refusal { return end(refusal.2, flags: refusal.3) }
            end(.idleTimeout, flags: [])
        } else {
            setDeadline(now)
        }
    }

    private var patience: UInt64 {
        let idle = relay.loop.settings.udpIdleTimeout
        return isAnswered ? idle : max(idle / 4, 1_000_000)
    }

    private func setDeadline(_ now: MonotonicTime) {
        // An answer may have made the patience longer meanwhile; it is never shorter than what is set here.
        relay.loop.timers.set(deadline, max(lastMoved + patience, now + 1_000_000), now: now)
    }

    func end(_ reason: CloseReason, flags: ResponseFlags) {
        guard !isOver else { return }
        isOver = true
        closeSocket()
        relay.loop.timers.cancel(deadline)
        record.flow.flags.formUnion(flags)
        relay.loop.telemetry.close(&record, reason, at: .now())
        relay.loop.flushLogSoon()
        relay.ended(self)
        connection.stage = nil
    }

    private func closeSocket() {
        if let watch { relay.readiness.forget(watch) }
        watch = nil
        socket = nil
        if let endpoint { relay.loop.balancer.finished(endpoint) }
        endpoint = nil
    }

    // MARK: As a stage of a connection

    func kill(_ reason: CloseReason) { end(reason, flags: .localReset) }

    /// It has no end of its own, so an agent that drains does not wait for one.
    func closeIfIdle() { end(.drained, flags: []) }

    /// The next datagram begins a flow of the other agent's.
    func moveSoon() {}

    var upstreamWorkload: WorkloadID? { socket == nil ? nil : plan?.workload }

    func report() { relay.loop.telemetry.report(&record) }
}

/// What makes datagrams one flow.
struct UDPFlowKey: Hashable {
    let client: ClientAddress
    let destination: OriginalDestination
}

extension DatagramDecision {
    /// For `trammel connections`.
    var words: String {
        switch verdict {
        case .forward(let cluster): cluster.name
        case .passthrough(let cluster): cluster?.name ?? OutsideTheMesh.passthrough
        case .refuse: OutsideTheMesh.blackHole
        }
    }
}
