import Glibc
import NIOCore
import TrammelCore
import TrammelTelemetry

/// A connection that is carried as bytes, on its way to another agent and in it.
extension RelayClientHandler {
    func moveSoon() {
        guard loop.departure != nil, !isMoving, canMove, let context, let channel = upstream?.channel else { return }
        setReading(false)
        upstream?.setReading(false)
        isMoving = true
        ChannelSocket.settle(context.channel) { [self] client in
            ChannelSocket.settle(channel) { [self] _ in depart(from: client) }
        }
    }

    /// Whether both sides are there and nothing is being waited for.
    private var canMove: Bool {
        guard let upstream, upstream.channel != nil, isUpstreamConnected else { return false }
        switch phase {
        case .relaying: return true
        case .detecting: return held.readableBytes == 0 && !isAwaitingServerName && refusal == nil
        case .connecting, .flushing, .closed: return false
        }
    }

    private func depart(from channel: any Channel) {
        guard canMove, let departure = loop.departure, let upstream else { return stay() }
        let moved = carried
        guard let client = ChannelSocket.copy(of: channel) else { return stay() }
        guard let server = upstream.takeSocket() else {
            Glibc.close(client)
            return stay()
        }
        phase = .closed
        if let deadlineNode { loop.timers.cancel(deadlineNode) }
        if let endpoint { loop.balancer.finished(endpoint) }
        endpoint = nil
        self.upstream = nil
        loop.telemetry.report(&record)
        loop.closed(connection)
        connection.stage = nil
        departure(moved, [client, server])
        channel.close(promise: nil)
    }

    /// One of the sides has come to its end meanwhile: that is told as ever.
    private func stay() {
        isMoving = false
        setReading(true)
        upstream?.setReading(true)
    }

    private var carried: CarriedConnection {
        var moved = CarriedConnection(connection, phase == .relaying ? .relay : .undetermined)
        moved.isRecorded = record.isOpen
        moved.isLogged = !staysSilent
        moved.bytesFromClient = record.flow.bytesReceived
        moved.bytesToClient = record.flow.bytesSent
        moved.route = record.text.string(of: .routeName)
        if let plan {
            moved.upstream = CarriedConnection.Upstream(
                workload: plan.workload.rawValue, remote: "\(plan.remote)", source: plan.source.map { "\($0)" },
                reachesApplication: plan.reachesApplication, cluster: cluster?.name,
                endpoint: endpoint.map { "\($0.address)" })
        }
        moved.service = service.map {
            CarriedConnection.ServiceName(host: $0.host, name: $0.name, namespace: $0.namespace)
        }
        return moved
    }

    // MARK: In the other agent

    /// Goes on where the other agent left off. The handler of the upstream is set before the first event.
    func resume(_ moved: CarriedConnection) {
        isUpstreamConnected = true
        attempts = 2
        hello = nil
        record.flow.service = loop.serviceID(named: moved.service)
        if let route = moved.route { record.text.set(.routeName, route) }
        if let name = moved.serverName { record.text.set(.requestedServerName, name) }
        if let upstream = moved.upstream, let remote = IPEndpoint(upstream.remote) {
            let plan = UpstreamSocketPlan(
                workload: WorkloadID(rawValue: upstream.workload), remote: UpstreamAddress(remote),
                source: upstream.source.flatMap { IPAddress($0) }, reachesApplication: upstream.reachesApplication)
            self.plan = plan
            connection.upstream = plan.remote
            record.flow.upstreamHost = plan.remote
            record.flow.upstreamLocal = self.upstream?.localAddress
            cluster = upstream.cluster.flatMap { loop.cluster(named: $0) }
            endpoint = cluster?.endpoints.first { "\($0.address)" == upstream.endpoint }
        }
        if let endpoint {
            loop.balancer.started(endpoint)
            loop.note(endpoint, in: &record.flow)
        }
        guard moved.stage == .relay else { return }
        isSilent = !moved.isRecorded
        staysSilent = !moved.isLogged
        if moved.isRecorded {
            loop.telemetry.resume(
                &record, since: connection.openedAt, received: moved.bytesFromClient, sent: moved.bytesToClient)
        }
        phase = .connecting
        relay()
    }
}

extension CarriedConnection {
    /// What is the same for every stage.
    init(_ connection: ProxyConnection, _ stage: Stage) {
        self.init(
            stage: stage, workload: connection.workload.id.rawValue, direction: connection.direction.rawValue,
            mode: connection.mode.rawValue, client: "\(connection.client)", destination: "\(connection.destination)",
            openedAt: connection.openedAt.nanoseconds, openedAtWall: connection.openedAtWall.nanoseconds,
            applicationProtocol: connection.applicationProtocol.rawValue, serverName: connection.serverName,
            decision: connection.decision, prober: connection.prober)
    }
}
