import TrammelConfig
package import TrammelCore

/// What becomes of a connection that is carried as bytes.
package struct TCPDecision: Sendable {
    package enum Verdict: Sendable {
        /// To an endpoint of the cluster, of the balancer's choice.
        case forward(Cluster)
        /// To the original destination, as asked; the cluster where a service is known to be there.
        case passthrough(Cluster?)
        /// Depends on the name in a TLS client's first message: to be decided again when that is known.
        case awaitServerName
        /// The route's destination does not exist. Flag NC.
        case noCluster
        /// Closed at once: no service owns the destination and the mesh is REGISTRY_ONLY. Flag UH, cluster
        /// `BlackHoleCluster`, as Istio logs it.
        case refuse
    }

    package let verdict: Verdict
    /// The service that the connection is for; nil where none is known.
    package let service: ServiceIdentity?
    /// The resource that decided; nil where none took part.
    package let origin: ResourceReference?
    /// The `tcp` or `tls` route that decided; nil where none took part.
    package var route: CompiledStreamRoute?

    package var cluster: Cluster? {
        switch verdict {
        case .forward(let cluster): cluster
        case .passthrough(let cluster): cluster
        case .refuse, .awaitServerName, .noCluster: nil
        }
    }
}

/// Decides what becomes of a connection that is carried as bytes. Pure; once per connection, or twice where the first
/// answer is that the client has to speak first.
///
/// - Parameters:
///   - serverName: what the client has said of itself so far.
///   - entropy: 64 evenly spread bits; the same entropy gives the same decision.
package func decideTCP(
    _ snapshot: RuntimeSnapshot, source: Source, original: OriginalDestination, serverName: ServerName,
    entropy: UInt64
) -> TCPDecision {
    var trace = NoStreamTrace()
    let call = StreamCall(source: source, original: original, serverName: serverName, entropy: entropy)
    return snapshot.decide(call, trace: &trace)
}

/// Who listens to a decision about a connection being made; `explain` does.
protocol StreamTrace {
    mutating func ownedAddress(_ port: ServicePort)
    mutating func unownedAddress()
    mutating func nameLookup(_ name: String?, _ outcome: HostLookup)
    mutating func entered(_ table: StreamTable, of routes: RouteTable)
    mutating func judged(_ route: CompiledStreamRoute, _ alternatives: [[StreamCondition]], holds: Bool)
    mutating func picked(_ destination: CompiledDestination, of route: CompiledStreamRoute, point: UInt64, port: UInt16)
    mutating func noRoute(_ port: ServicePort)
}

struct NoStreamTrace: StreamTrace {
    mutating func ownedAddress(_ port: ServicePort) {}
    mutating func unownedAddress() {}
    mutating func nameLookup(_ name: String?, _ outcome: HostLookup) {}
    mutating func entered(_ table: StreamTable, of routes: RouteTable) {}
    mutating func judged(_ route: CompiledStreamRoute, _ alternatives: [[StreamCondition]], holds: Bool) {}
    mutating func picked(_ destination: CompiledDestination, of route: CompiledStreamRoute, point: UInt64, port: UInt16)
    {}
    mutating func noRoute(_ port: ServicePort) {}
}

extension RuntimeSnapshot {
    func decide<Trace: StreamTrace>(_ call: StreamCall, trace: inout Trace) -> TCPDecision {
        if let port = servicePort(at: call.original, for: call.source) {
            trace.ownedAddress(port)
            return decide(call, port, trace: &trace)
        }
        trace.unownedAddress()
        if looksAtServerNames(call) {
            switch call.serverName {
            case .unheard:
                return TCPDecision(verdict: .awaitServerName, service: nil, origin: nil)
            case .absent:
                trace.nameLookup(nil, .nothing)
            case .name(var name):
                let found = name.withUTF8 {
                    lookUp(UnsafeRawBufferPointer($0), port: call.original.endpoint.port, from: call.source, .stream)
                }
                trace.nameLookup(name, found)
                if let decision = decide(call, found, trace: &trace) { return decision }
            }
        }
        switch outboundTrafficPolicy {
        case .allowAny: return TCPDecision(verdict: .passthrough(nil), service: nil, origin: nil)
        case .registryOnly: return TCPDecision(verdict: .refuse, service: nil, origin: meshConfig)
        }
    }

    private func looksAtServerNames(_ call: StreamCall) -> Bool {
        let port = call.original.endpoint.port
        return common.hosts.looksAtServerNames(port) || view(of: call.source)?.hosts.looksAtServerNames(port) ?? false
    }

    private func decide<Trace: StreamTrace>(
        _ call: StreamCall, _ found: HostLookup, trace: inout Trace
    ) -> TCPDecision? {
        switch found {
        case .service(let plan):
            return decide(call, plan.servicePort.takeUnretainedValue(), trace: &trace)
        case .virtualHost(let program):
            let routes = program.pointee.owner.takeUnretainedValue()
            return decide(call, routes, port: call.original.endpoint.port, trace: &trace)
        case .undeclaredPort, .nothing:
            return nil
        }
    }

    /// By the routes for the service, else to any of its endpoints.
    private func decide<Trace: StreamTrace>(
        _ call: StreamCall, _ port: ServicePort, trace: inout Trace
    ) -> TCPDecision {
        if let routes = port.routes, let decision = decide(call, routes, port: port.port, trace: &trace) {
            return decision
        }
        trace.noRoute(port)
        return TCPDecision(
            verdict: verdict(to: port.defaultCluster, call), service: port.service, origin: port.origin)
    }

    /// Nil where none of the routes is for this connection.
    private func decide<Trace: StreamTrace>(
        _ call: StreamCall, _ routes: RouteTable, port: UInt16, trace: inout Trace
    ) -> TCPDecision? {
        let table = routes.streams
        guard !table.isEmpty else { return nil }
        if call.serverName == .unheard, table.tls.contains(where: { $0.match.contains { $0.mayHold(call) } }) {
            return TCPDecision(verdict: .awaitServerName, service: nil, origin: routes.origin)
        }
        trace.entered(table, of: routes)
        for route in table.tls + table.tcp {
            let alternatives = route.match.map { $0.conditions(call) }
            let holds = alternatives.isEmpty || alternatives.contains { $0.allSatisfy(\.holds) }
            trace.judged(route, alternatives, holds: holds)
            if holds { return decide(call, route, port: port, trace: &trace) }
        }
        return nil
    }

    private func decide<Trace: StreamTrace>(
        _ call: StreamCall, _ route: CompiledStreamRoute, port: UInt16, trace: inout Trace
    ) -> TCPDecision {
        guard !route.split.destinations.isEmpty else {
            return TCPDecision(verdict: .noCluster, service: nil, origin: route.origin, route: route)
        }
        let point = call.entropy.multipliedFullWidth(by: max(1, route.split.total)).high
        let index = route.split.bounds.firstIndex { point < $0 } ?? 0
        let destination = route.split.destinations[index]
        trace.picked(destination, of: route, point: point, port: port)
        guard let cluster = destination.cluster(port: port) else {
            return TCPDecision(verdict: .noCluster, service: nil, origin: route.origin, route: route)
        }
        return TCPDecision(
            verdict: verdict(to: cluster, call), service: cluster.service, origin: route.origin, route: route)
    }

    private func verdict(to cluster: Cluster, _ call: StreamCall) -> TCPDecision.Verdict {
        ClusterReference(cluster).keeps(call.original) ? .passthrough(cluster) : .forward(cluster)
    }
}
