import TrammelConfig
import TrammelCore

/// Writes down how a decision came about. Lives for the length of one `explain`, within which the request's bytes and
/// the snapshot are held.
struct StoryTrace: DecisionTrace {
    let request: RequestView
    let source: Source
    let destination: HTTPDestination
    let policy: MeshConfigSpec.OutboundTrafficPolicy
    let meshConfig: ResourceReference?

    private var steps: [DecisionStory.Step] = []
    static var hearsAll: Bool { true }

    /// Of the alternative that is being judged.
    private var held: [String] = []
    private var lacking: [String] = []
    /// Of the route that is being judged: what each of its alternatives lacked, and of how many conditions.
    private var failures: [(lacking: [String], count: Int)] = []
    private var nearest = NearestMiss()
    private var matched: [String] = []
    private var possibilities: [DecisionStory.Possibility] = []
    private var decidedBy: ResourceReference?
    private var isOutside = false

    init(
        request: RequestView, source: Source, destination: HTTPDestination,
        policy: MeshConfigSpec.OutboundTrafficPolicy, meshConfig: ResourceReference?
    ) {
        self.request = request
        self.source = source
        self.destination = destination
        self.policy = policy
        self.meshConfig = meshConfig
    }

    private mutating func tell(_ title: String, _ detail: String, _ origin: ResourceReference? = nil) {
        steps.append(DecisionStory.Step(title: title, detail: detail, origin: origin))
    }

    mutating func ownedAddress(_ port: PortPlan) {
        steps.append(.owned(destination.original, port.servicePort.takeUnretainedValue()))
    }

    mutating func hostLookup(_ outcome: HostLookup) {
        steps.append(.unowned(destination.original))
        let host = "\"\(request.text(request.authority))\""
        switch outcome {
        case .undeclaredPort(let port):
            isOutside = true
            tell("host", "no service declares port \(port), so the host \(host) is not looked at")
        case .service(let port):
            let port = port.servicePort.takeUnretainedValue()
            tell("host", "\(host) is \(port.host), port \(port.port)", port.origin)
        case .virtualHost(let program):
            tell("host", "\(host) is named by a VirtualService", program.pointee.owner.takeUnretainedValue().origin)
        case .nothing:
            isOutside = true
            tell("host", "\(host) is no service with port \(destination.original.endpoint.port)")
        }
    }

    mutating func entered(_ program: RouteProgram) {
        let table = program.owner.takeUnretainedValue()
        decidedBy = table.origin
        tell("routes", "\(table.routes.count) of \(table.origin.key), the first that matches decides", table.origin)
    }

    mutating func noRoutes(_ port: PortPlan) {
        let port = port.servicePort.takeUnretainedValue()
        decidedBy = port.origin
        possibilities = [.all(to: port.defaultCluster)]
        tell("routes", "no VirtualService routes \(port.host), so any of its endpoints will do")
    }

    mutating func judged(condition: Int, of program: RouteProgram, holds: Bool) {
        let call = ConditionText(program: program, request: request, source: source, port: port(of: program))
        let text = call.text(condition, holds: holds)
        if holds { held.append(text) } else { lacking.append(text) }
    }

    /// The port that conditions are held against.
    private func port(of program: RouteProgram) -> UInt16 {
        destination.servicePort?.port ?? destination.original.endpoint.port
    }

    mutating func judged(alternative: Int, of program: RouteProgram, holds: Bool) {
        if holds { matched = held } else { failures.append((lacking, held.count + lacking.count)) }
        held = []
        lacking = []
    }

    mutating func judged(route index: Int, of program: RouteProgram, holds: Bool) {
        let route = program.owner.takeUnretainedValue().routes[index]
        let title = route.name.hasPrefix("#") ? "route \(route.name)" : "route #\(index + 1) \"\(route.name)\""
        if holds {
            decidedBy = route.origin
            let reason = matched.isEmpty ? "every request does" : matched.joined(separator: " and ")
            tell(title, "matches: \(reason)", route.origin)
            let rest = program.owner.takeUnretainedValue().routes[(index + 1)...]
            if !rest.isEmpty {
                tell(
                    "routes",
                    "not looked at: \(rest.map(\.name).joined(separator: ", ")), since the first match decides")
            }
        } else {
            let reasons = failures.map { $0.lacking.joined(separator: " and ") }
            tell(title, "does not match: \(reasons.joined(separator: "; and "))", route.origin)
            for failure in failures {
                nearest.consider(route.name, failed: failure.lacking, of: failure.count, route.origin)
            }
        }
        failures = []
        matched = []
    }

    mutating func picked(destination index: Int, of route: RouteProgram.Route, in program: RouteProgram, point: UInt64)
    {
        let origin = route.route.takeUnretainedValue().origin
        let destinations = program.destinations[route.destinations.lower..<route.destinations.upper]
        var lower: UInt64 = 0
        var ranges: [String] = []
        for plan in destinations {
            let destination = plan.destination.takeUnretainedValue()
            let cluster = destination.cluster(port: port(of: program))
            possibilities.append(
                DecisionStory.Possibility(
                    destination: destination.written.text, share: Double(plan.bound - lower) / Double(route.total),
                    cluster: cluster, endpoints: cluster?.endpoints ?? []))
            ranges.append("\(destination.written.text) \(plan.bound - lower)")
            lower = plan.bound
        }
        let chosen = destinations[route.destinations.lower + index].destination.takeUnretainedValue()
        if destinations.count > 1 {
            tell(
                "weights",
                "\(ranges.joined(separator: ", ")) of \(route.total); this request drew \(point), which is "
                    + chosen.written.text, origin)
        }
        if let problem = chosen.problem {
            tell("destination", problem, ResourceReference(key: origin.key, location: chosen.written.location))
        } else if chosen.cluster(port: port(of: program)) == nil {
            tell(
                "destination",
                "\(chosen.written.text) names no port, and its service has several but not the one asked for",
                ResourceReference(key: origin.key, location: chosen.written.location))
        }
    }

    mutating func passedOver(_ program: RouteProgram, service: Unmanaged<ServiceIdentity>?) {
        let origin = program.owner.takeUnretainedValue().origin
        isOutside = service == nil
        tell("routes", "none of them is for this caller and port, so \(origin.key) does not apply", origin)
    }

    mutating func keptAddress(_ cluster: ClusterReference) {
        steps.append(.kept(cluster.cluster.takeUnretainedValue(), destination.original))
    }

    mutating func decided(_ decision: HTTPDecision) {
        if decision.kind == .forward, let cluster = decision.cluster { steps.append(.balancing(cluster)) }
        if isOutside {
            decidedBy = meshConfig
            steps.append(.outsideTheMesh(policy, meshConfig, answer: "answered 502"))
        }
        if let response = decision.response, !isOutside { tell(response, decision) }
        tellEdits(decision)
        if let step = nearest.step { steps.append(step) }
    }

    private mutating func tell(_ response: LocalResponse, _ decision: HTTPDecision) {
        switch response.flag {
        case .noRoute: tell("answer", "404 (NR), since none of the routes matches", decidedBy)
        case .noCluster: tell("answer", "503 (NC), since the destination does not exist", decidedBy)
        case .none, .noHealthyUpstream:
            if let redirect = response.redirect {
                var location: [UInt8] = []
                redirect.appendLocation(
                    for: request, port: destination.original.endpoint.port, into: &location)
                tell("answer", "\(response.status) to \(String(decoding: location, as: UTF8.self))", decidedBy)
            } else {
                tell("answer", "\(response.status) with \(response.body.count) bytes, by the route itself", decidedBy)
            }
        }
    }

    private mutating func tellEdits(_ decision: HTTPDecision) {
        guard let route = decision.route else { return }
        if decision.rewritesTarget {
            var target: [UInt8] = []
            decision.appendTarget(of: request, into: &target)
            tell("rewrite", "the target becomes \(String(decoding: target, as: UTF8.self))", route.origin)
        }
        if !decision.authority.isEmpty {
            tell("rewrite", "the host becomes \(String(decoding: decision.authority, as: UTF8.self))", route.origin)
        }
        for (title, edits) in [
            ("request headers", decision.requestEdits), ("response headers", decision.responseEdits),
        ] {
            if let edits { tell(title, edits.description, route.origin) }
        }
        if route.timeout > 0 {
            tell("timeout", "\(Double(route.timeout) / 1_000_000_000) s for the whole request", route.origin)
        }
    }

    func story(of decision: HTTPDecision) -> DecisionStory {
        let verdict: DecisionStory.Verdict =
            switch decision.verdict {
            case .forward(let cluster): .forward(cluster)
            case .passthrough(let cluster): .passthrough(cluster)
            case .respond(let response): .respond(response)
            }
        return DecisionStory(
            steps: steps, verdict: verdict, possibilities: possibilities, decidedBy: decidedBy, route: decision.route)
    }
}

extension CompiledDestination {
    func cluster(port: UInt16) -> Cluster? { targets.first { $0.port == port || $0.port == 0 }?.cluster }
}

extension Destination {
    /// `reviews/v2`, `reviews:9080`, `reviews`.
    var text: String { host + (port.map { ":\($0)" } ?? "") + (subset.map { "/\($0)" } ?? "") }
}
