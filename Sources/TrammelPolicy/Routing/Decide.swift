import TrammelConfig
package import TrammelCore

/// Decides what becomes of a request: pure, without allocation, at a cost that does not grow with the number of
/// services or routes in the mesh.
///
/// - Parameters:
///   - snapshot: everything known; it must be held by the caller for as long as the decision is.
///   - original: where the connection was going when it was captured.
///   - entropy: 64 evenly spread bits; the same entropy gives the same decision.
package func decide(
    _ snapshot: RuntimeSnapshot, source: Source, original: OriginalDestination, request: RequestView, entropy: UInt64
) -> HTTPDecision {
    var trace = NoTrace()
    return snapshot.decide(source, original, request, entropy, trace: &trace)
}

/// The same for who has looked the destination up in this very snapshot for another reason.
package func decide(
    _ snapshot: RuntimeSnapshot, source: Source, destination: HTTPDestination, request: RequestView, entropy: UInt64
) -> HTTPDecision {
    decide(snapshot, source: source, original: destination.original, request: request, entropy: entropy)
}

extension RuntimeSnapshot {
    @inline(__always)
    func decide<Trace: DecisionTrace>(
        _ source: Source, _ original: OriginalDestination, _ request: RequestView, _ entropy: UInt64,
        trace: inout Trace
    ) -> HTTPDecision {
        let call = Call(
            request: request, path: request.path, original: original, source: .passUnretained(source),
            entropy: entropy)
        let decision: HTTPDecision
        if let port = plan(at: original.endpoint, for: source) {
            trace.ownedAddress(port)
            decision = call.decide(port, trace: &trace)
        } else {
            decision = decideByHost(call, trace: &trace)
        }
        trace.decided(decision)
        return decision
    }

    /// For a connection whose address no service owns.
    private func decideByHost<Trace: DecisionTrace>(_ call: Call, trace: inout Trace) -> HTTPDecision {
        let lookup = lookUp(call)
        trace.hostLookup(lookup)
        switch lookup {
        case .service(let port):
            return call.decide(port, trace: &trace)
        case .virtualHost(let program):
            if let decision = call.decide(program, port: call.original.endpoint.port, service: nil, trace: &trace) {
                return decision
            }
        case .undeclaredPort, .nothing:
            break
        }
        switch outboundTrafficPolicy {
        case .allowAny: return HTTPDecision(.passthrough, to: nil, service: nil)
        case .registryOnly:
            return HTTPDecision(answer: LocalResponse.Uncounted.notInRegistry, by: nil, service: nil)
        }
    }
}

/// A request with the connection that it came on: what a decision is about. Plain bits, for the length of a decision.
struct Call {
    let request: RequestView
    let path: ByteRange
    let original: OriginalDestination
    let source: Unmanaged<Source>
    let entropy: UInt64

    @inline(__always)
    func decide<Trace: DecisionTrace>(_ port: PortPlan, trace: inout Trace) -> HTTPDecision {
        if let program = port.program,
            let decision = decide(program, port: port.port, service: port.service, trace: &trace)
        {
            return decision
        }
        trace.noRoutes(port)
        let kind = kind(of: port.defaultCluster, trace: &trace)
        return HTTPDecision(kind, to: port.defaultCluster.cluster, service: port.service)
    }

    /// Nil where none of the routes is for this caller and port.
    @inline(__always)
    func decide<Trace: DecisionTrace>(
        _ program: UnsafePointer<RouteProgram>, port: UInt16, service: Unmanaged<ServiceIdentity>?, trace: inout Trace
    ) -> HTTPDecision? {
        trace.entered(program.pointee)
        guard let match = program.pointee.match(self, port: port, trace: &trace) else {
            guard program.pointee.applies(to: self, port: port) else {
                trace.passedOver(program.pointee, service: service)
                return nil
            }
            return HTTPDecision(answer: LocalResponse.Uncounted.noRoute, by: nil, service: service)
        }
        if let response = match.route.response {
            return HTTPDecision(answer: response, by: match.route, service: service)
        }
        let (destination, cluster) = program.pointee.destination(of: match.route, port: port, entropy, trace: &trace)
        guard let destination, let cluster else {
            return HTTPDecision(answer: LocalResponse.Uncounted.noCluster, by: match.route, service: service)
        }
        return HTTPDecision(kind(of: cluster, trace: &trace), to: cluster, by: match, destination)
    }

    /// To the cluster's endpoints, unless its policy or a headless service's own address asks for the very endpoint
    /// that the client chose.
    @inline(__always)
    private func kind<Trace: DecisionTrace>(of cluster: ClusterReference, trace: inout Trace) -> HTTPDecision.Kind {
        guard cluster.keeps(original) else { return .forward }
        trace.keptAddress(cluster)
        return .passthrough
    }
}

extension RouteProgram {
    /// The destination whose range `entropy` falls into, in proportion to the weights over evenly spread entropy and
    /// always the same for the same entropy; and its cluster for `port`, nil where it dangles.
    @inline(__always)
    func destination<Trace: DecisionTrace>(
        of route: Route, port: UInt16, _ entropy: UInt64, trace: inout Trace
    ) -> (destination: Destination?, cluster: ClusterReference?) {
        var index = route.destinations.lower
        guard index < route.destinations.upper else { return (nil, nil) }
        let point = entropy.multipliedFullWidth(by: route.total).high
        while index &+ 1 < route.destinations.upper, point >= destinations[index].bound { index &+= 1 }
        let chosen = destinations[index]
        trace.picked(destination: index &- route.destinations.lower, of: route, in: self, point: point)
        var target = chosen.targets.lower
        while target < chosen.targets.upper {
            if targets[target].port == port || targets[target].port == 0 { return (chosen, targets[target].cluster) }
            target &+= 1
        }
        return (chosen, nil)
    }
}
