import TrammelConfig
package import TrammelCore

/// Tells how `decideTCP` comes to its decision, for the same arguments.
package func explainTCP(
    _ snapshot: RuntimeSnapshot, source: Source, original: OriginalDestination, serverName: ServerName = .absent,
    entropy: UInt64 = 0
) -> DecisionStory {
    var trace = StreamStoryTrace(original: original)
    let call = StreamCall(source: source, original: original, serverName: serverName, entropy: entropy)
    let decision = snapshot.decide(call, trace: &trace)
    return trace.story(of: decision, snapshot)
}

/// Writes down how a decision about a connection came about.
struct StreamStoryTrace: StreamTrace {
    let original: OriginalDestination
    private var steps: [DecisionStory.Step] = []
    private var possibilities: [DecisionStory.Possibility] = []
    private var nearest = NearestMiss()
    private var isOwned = false

    init(original: OriginalDestination) { self.original = original }

    private mutating func tell(_ title: String, _ detail: String, _ origin: ResourceReference? = nil) {
        steps.append(DecisionStory.Step(title: title, detail: detail, origin: origin))
    }

    mutating func ownedAddress(_ port: ServicePort) {
        isOwned = true
        steps.append(.owned(original, port))
    }

    mutating func unownedAddress() { steps.append(.unowned(original)) }

    mutating func nameLookup(_ name: String?, _ outcome: HostLookup) {
        guard let name else {
            tell("server name", "the client names none, or speaks no TLS")
            return
        }
        switch outcome {
        case .service(let plan):
            isOwned = true
            let port = plan.servicePort.takeUnretainedValue()
            tell("server name", "\"\(name)\" is \(port.host), port \(port.port)", port.origin)
        case .virtualHost(let program):
            tell(
                "server name", "\"\(name)\" is named by a VirtualService",
                program.pointee.owner.takeUnretainedValue().origin)
        case .undeclaredPort, .nothing:
            tell("server name", "\"\(name)\" is no service with port \(original.endpoint.port)")
        }
    }

    mutating func entered(_ table: StreamTable, of routes: RouteTable) {
        tell(
            "routes",
            "\(table.tls.count) tls and \(table.tcp.count) tcp routes of \(routes.origin.key), the first that matches decides",
            routes.origin)
    }

    mutating func judged(_ route: CompiledStreamRoute, _ alternatives: [[StreamCondition]], holds: Bool) {
        guard !holds else {
            let held = alternatives.first { $0.allSatisfy(\.holds) } ?? []
            let reason = held.isEmpty ? "every connection does" : held.map(\.words).joined(separator: " and ")
            tell("route \(route.name)", "matches: \(reason)", route.origin)
            return
        }
        let failures = alternatives.map { $0.filter { !$0.holds }.map(\.words).joined(separator: " and ") }
        tell(
            "route \(route.name)", "does not match; it would need \(failures.joined(separator: ", or "))", route.origin)
        for alternative in alternatives {
            nearest.consider(
                route.name, failed: alternative.filter { !$0.holds }.map(\.words), of: alternative.count, route.origin)
        }
    }

    mutating func picked(_ destination: CompiledDestination, of route: CompiledStreamRoute, point: UInt64, port: UInt16)
    {
        var lower: UInt64 = 0
        for (candidate, bound) in zip(route.split.destinations, route.split.bounds) {
            let cluster = candidate.cluster(port: port)
            possibilities.append(
                DecisionStory.Possibility(
                    destination: candidate.written.text, share: Double(bound - lower) / Double(route.split.total),
                    cluster: cluster, endpoints: cluster?.endpoints ?? []))
            lower = bound
        }
        if route.split.destinations.count > 1 {
            let weights = zip(route.split.destinations, [0] + route.split.bounds).enumerated().map { index, pair in
                "\(pair.0.written.text) \(route.split.bounds[index] - pair.1)"
            }
            tell(
                "weights",
                "\(weights.joined(separator: ", ")) of \(route.split.total); this connection drew \(point), which is "
                    + destination.written.text, route.origin)
        }
        if let problem = destination.problem {
            tell(
                "destination", problem, ResourceReference(key: route.origin.key, location: destination.written.location)
            )
        }
    }

    mutating func noRoute(_ port: ServicePort) {
        if port.routes?.streams.isEmpty ?? true {
            tell("routes", "no VirtualService has tcp or tls routes for \(port.host), so any of its endpoints will do")
        } else {
            tell("routes", "none matches, so any endpoint of \(port.host) will do", port.origin)
        }
    }

    func story(of decision: TCPDecision, _ snapshot: RuntimeSnapshot) -> DecisionStory {
        var steps = steps
        let verdict: DecisionStory.Verdict
        switch decision.verdict {
        case .forward(let cluster):
            verdict = .forward(cluster)
            steps.append(.balancing(cluster))
        case .passthrough(let cluster):
            verdict = .passthrough(cluster)
            if let cluster { steps.append(.kept(cluster, original)) }
        case .noCluster:
            verdict = .refuse
            steps.append(
                DecisionStory.Step(
                    title: "answer", detail: "closed (NC), since the destination does not exist",
                    origin: decision.origin))
        case .awaitServerName:
            verdict = .refuse
            steps.append(
                DecisionStory.Step(
                    title: "server name", detail: "depends on the name that the TLS client asks for",
                    origin: decision.origin))
        case .refuse:
            verdict = .refuse
        }
        if decision.cluster == nil, decision.route == nil, !isOwned {
            steps.append(.outsideTheMesh(snapshot.outboundTrafficPolicy, snapshot.meshConfig, answer: "closed"))
        }
        if let step = nearest.step { steps.append(step) }
        return DecisionStory(
            steps: steps, verdict: verdict,
            possibilities: possibilities.isEmpty
                ? decision.cluster.map { [.all(to: $0)] } ?? [] : possibilities,
            decidedBy: decision.origin, route: nil)
    }
}

/// Of the routes that did not match, the one that lacked least: what its author may have meant.
struct NearestMiss {
    private var best: (name: String, failed: [String], origin: ResourceReference)?

    /// - Parameter failed: the conditions that do not hold, in words, `of` how many.
    mutating func consider(_ name: String, failed: [String], of count: Int, _ origin: ResourceReference) {
        // One that shares nothing with the call is no miss but another case.
        guard failed.count < count, failed.count < best?.failed.count ?? .max else { return }
        best = (name, failed, origin)
    }

    var step: DecisionStory.Step? {
        best.map {
            DecisionStory.Step(
                title: "nearest miss", detail: "route \($0.name) lacks only: \($0.failed.joined(separator: " and "))",
                origin: $0.origin)
        }
    }
}
