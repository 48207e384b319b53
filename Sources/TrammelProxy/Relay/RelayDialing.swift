import NIOCore
import TrammelCore
import TrammelPolicy
import TrammelTelemetry

/// Where the connection goes on, decided and dialled as soon as it is there.
extension RelayClientHandler {
    func dial() { dial(.unheard) }

    /// What the client says first is known, as far as a route's choice hangs on it.
    func serverNameIsKnown(_ name: ServerName) {
        guard isAwaitingServerName else { return }
        isAwaitingServerName = false
        if phase == .detecting, name != .absent { phase = .connecting }
        watchForIdleness(.now())
        dial(name)
    }

    private func dial(_ serverName: ServerName) {
        let decision = route.decideTCP(loop: loop, serverName, entropy: loop.randomness.next())
        record.flow.service = loop.serviceID(of: decision.service)
        service = decision.service
        if let route = decision.route { record.text.set(.routeName, route.name) }
        switch decision.verdict {
        case .awaitServerName:
            isAwaitingServerName = true
            waitForServerName()
        case .noCluster:
            end(.noRoute, flags: .noClusterFound, resets: true)
        case .refuse:
            record.flow.service = loop.blackHoleService
            refuseUnlessHTTP(.denied)
        case .passthrough(let cluster):
            if cluster?.kind == .asked { self.cluster = cluster }
            connect(loop.planAsAsked(for: connection), timeout: loop.settings.connectTimeout)
        case .forward(let cluster):
            self.cluster = cluster
            connect(to: cluster, excluding: nil)
        }
    }

    private func refuseUnlessHTTP(_ reason: CloseReason) {
        guard phase == .detecting else { return refuse(reason) }
        refusal = reason
        let now = MonotonicTime.now()
        setDeadline(now + Self.patience, now)
    }

    /// As Istio refuses what is in no registry: a request is answered by `HTTP1ServerHandler`, any other connection ends
    /// here with flag UH.
    func refuse(_ reason: CloseReason) {
        guard reason == .denied else { return end(reason, flags: .upstreamConnectionFailure, resets: true) }
        loop.counters.refusedConnections[.policy, default: 0] += 1
        record.text.set(.upstreamCluster, OutsideTheMesh.blackHole)
        end(.denied, flags: .noHealthyUpstream, resets: true)
    }

    private func connect(to cluster: Cluster, excluding failed: Endpoint?) {
        guard let chosen = loop.balancer.pick(cluster, entropy: loop.randomness.next(), excluding: failed) else {
            // The one that there is has been tried.
            if failed != nil { return end(.connectFailed, flags: .upstreamConnectionFailure, resets: true) }
            return end(.noUpstream, flags: .noHealthyUpstream, resets: true)
        }
        loop.balancer.started(chosen)
        endpoint = chosen
        loop.note(chosen, in: &record.flow)
        connect(loop.plan(for: chosen, from: connection), timeout: cluster.connectTimeout)
    }

    private func connect(_ plan: UpstreamSocketPlan, timeout: UInt64) {
        attempts += 1
        self.plan = plan
        connection.upstream = plan.remote
        record.flow.upstreamHost = plan.remote
        let handler = RelayUpstreamHandler(client: self)
        upstream = handler
        loop.dialer.connect(plan, timeout: .nanoseconds(Int64(clamping: timeout)), handler: handler) {
            [weak self] result in
            handler.dialled(result)
            guard let self, self.upstream === handler else { return }
            switch result {
            case .success:
                self.isUpstreamConnected = true
                self.record.flow.upstreamLocal = handler.localAddress
                if self.phase == .connecting, self.held.readableBytes > 0 || self.hasInputEnded { self.relay() }
                self.moveSoon()
            case .failure:
                self.connectFailed()
            }
        }
    }

    private func connectFailed() {
        let failed = endpoint
        if let failed {
            loop.balancer.finished(failed)
            loop.connectRefused(by: failed)
        }
        endpoint = nil
        upstream = nil
        if attempts < 2, let failed, let cluster {
            connect(to: cluster, excluding: failed)
        } else if cluster == nil, connection.direction == .outbound,
            loop.snapshot.looksAtHosts(port: connection.destination.endpoint.port, for: connection.workload.source)
        {
            refuseUnlessHTTP(.connectFailed)
        } else {
            refuse(.connectFailed)
        }
    }
}
