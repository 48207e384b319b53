import TrammelConfig
package import TrammelCore

/// Decides what becomes of a request: pure, without allocation, at a cost that does not grow with the number of
/// services or routes in the mesh.
///
/// - Parameters:
///   - snapshot: everything known; it must be held by the caller for as long as the decision is.
///   - entropy: 64 evenly spread bits; the same entropy gives the same decision.
package func decide(
    _ snapshot: RuntimeSnapshot, source: Source, destination: HTTPDestination, request: RequestView, entropy: UInt64
) -> HTTPDecision {
    var trace = NoTrace()
    return snapshot.decide(source, destination, request, entropy, trace: &trace)
}

extension RuntimeSnapshot {
    @inline(__always)
    func decide<Trace: DecisionTrace>(
        _ source: Source, _ destination: HTTPDestination, _ request: RequestView, _ entropy: UInt64,
        trace: inout Trace
    ) -> HTTPDecision {
        let decision: HTTPDecision
        if let port = destination.servicePort {
            trace.ownedAddress(port)
            decision = decide(port, source, destination, request, entropy, trace: &trace)
        } else {
            decision = decideByHost(source, destination, request, entropy, trace: &trace)
        }
        trace.decided(decision.verdict)
        return decision
    }

    @inline(__always)
    private func decide<Trace: DecisionTrace>(
        _ port: ServicePort, _ source: Source, _ destination: HTTPDestination, _ request: RequestView,
        _ entropy: UInt64, trace: inout Trace
    ) -> HTTPDecision {
        guard let table = port.routes else {
            trace.noRoutes(port)
            let verdict = carry(to: port.defaultCluster, destination.original, trace: &trace)
            return HTTPDecision(verdict, service: port.service)
        }
        return decide(
            table, port.port, port.service, source, destination.original, request, entropy, trace: &trace)
    }

    /// For a connection whose address no service owns.
    private func decideByHost<Trace: DecisionTrace>(
        _ source: Source, _ destination: HTTPDestination, _ request: RequestView, _ entropy: UInt64,
        trace: inout Trace
    ) -> HTTPDecision {
        let lookup = lookUp(request.bytes[request.authority], port: destination.original.endpoint.port, from: source)
        trace.hostLookup(lookup)
        switch lookup {
        case .service(let port):
            return decide(port, source, destination, request, entropy, trace: &trace)
        case .virtualHost(let table):
            return decide(
                table, destination.original.endpoint.port, nil, source, destination.original, request, entropy,
                trace: &trace)
        case .undeclaredPort, .nothing:
            switch outboundTrafficPolicy {
            case .allowAny: return HTTPDecision(.passthrough(nil), service: nil)
            case .registryOnly: return HTTPDecision(.respond(.notInRegistry), service: nil)
            }
        }
    }

    @inline(__always)
    private func decide<Trace: DecisionTrace>(
        _ table: RouteTable, _ port: UInt16, _ service: ServiceIdentity?, _ source: Source,
        _ original: OriginalDestination, _ request: RequestView, _ entropy: UInt64, trace: inout Trace
    ) -> HTTPDecision {
        trace.entered(table)
        let input = MatchInput(request: request, port: port, source: source)
        guard let match = table.match(input, trace: &trace) else {
            return HTTPDecision(.respond(.noRoute), service: service)
        }
        let route = table.routes[match.route]
        switch route.action {
        case .route(let split):
            let index = split.index(entropy)
            let destination = split.destinations[index]
            trace.picked(destination, at: index, of: split, entropy: entropy)
            guard let cluster = destination.cluster(port: port) else {
                return HTTPDecision(.respond(.noCluster), route: route, service: service)
            }
            return HTTPDecision(
                carry(to: cluster, original, trace: &trace), route: route, destination: destination,
                matchedPrefixLength: match.matchedPrefixLength, service: cluster.service)
        case .respond(let response):
            return HTTPDecision(
                .respond(response), route: route, matchedPrefixLength: match.matchedPrefixLength, service: service)
        }
    }

    /// To the cluster's endpoints, unless its policy or a headless service's own address asks for the very endpoint
    /// that the client chose.
    @inline(__always)
    private func carry<Trace: DecisionTrace>(
        to cluster: Cluster, _ original: OriginalDestination, trace: inout Trace
    ) -> HTTPDecision.Verdict {
        if cluster.keeps(original) {
            trace.keptAddress(cluster)
            return .passthrough(cluster)
        }
        return .forward(cluster)
    }
}
