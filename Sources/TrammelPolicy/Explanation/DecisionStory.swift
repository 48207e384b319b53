package import TrammelConfig
package import TrammelCore

/// A decision told as a story: what was looked at, what held and what did not, and the file and line behind each step.
///
/// It is made by the very code that decides for the data path, with somebody listening.
package struct DecisionStory: Sendable {
    package struct Step: Sendable, Equatable {
        /// A word or two: `address`, `route #2`, `weights`.
        package let title: String
        /// What was found, in a sentence without its full stop.
        package let detail: String
        /// The resource that the step comes from; nil for a fact about the call.
        package let origin: ResourceReference?
        package var location: SourceLocation? { origin?.location }
    }

    /// One place that requests like this one may end at.
    package struct Possibility: Sendable {
        /// As written, `reviews/v2`; the cluster's name where no route took part.
        package let destination: String
        /// 0…1, of the requests that fall to the same route.
        package let share: Double
        /// Nil for a destination that dangles.
        package let cluster: Cluster?
        /// Those that the balancer chooses from.
        package let endpoints: [Endpoint]
    }

    package let steps: [Step]
    package let verdict: Verdict
    package let possibilities: [Possibility]
    /// The resource and line that decided; nil where the mesh has no say.
    package let decidedBy: ResourceReference?
    /// Nil for a connection that is carried as bytes, and where no route took part.
    package let route: CompiledRoute?

    package enum Verdict: Sendable {
        case forward(Cluster)
        case passthrough(Cluster?)
        case respond(LocalResponse)
        /// A connection that is carried as bytes is closed.
        case refuse
    }
}

extension DecisionStory {
    /// The outcome in a sentence without its full stop.
    package var summary: String {
        switch verdict {
        case .forward(let cluster):
            let subset = cluster.subset.map { ", subset \($0)" } ?? ""
            let shares = possibilities.count > 1 ? ", as this request drew" : ""
            return "goes to \(cluster.serviceHost), port \(cluster.port)\(subset)\(shares)"
        case .passthrough(let cluster?): return "goes to the very endpoint of \(cluster.serviceHost) that was asked for"
        case .passthrough(nil): return "goes where it was going, outside the mesh"
        case .respond(let response):
            let flag = response.flag == .none ? "" : " (\(response.flag.rawValue))"
            return "is answered \(response.status)\(flag) by the agent"
        case .refuse: return "is closed"
        }
    }
}

extension DecisionStory: CustomStringConvertible {
    /// A line for each step, the resource behind it in parentheses.
    package var description: String {
        steps.map { step in
            "\(step.title): \(step.detail)" + (step.origin.map { " (\($0.key), \($0.location))" } ?? "")
        }.joined(separator: "\n")
    }
}

/// Tells how `decide` comes to its decision, for the same arguments.
package func explain(
    _ snapshot: RuntimeSnapshot, source: Source, destination: HTTPDestination, request: RequestView, entropy: UInt64
) -> DecisionStory {
    var trace = StoryTrace(
        request: request, source: source, destination: destination, policy: snapshot.outboundTrafficPolicy,
        meshConfig: snapshot.meshConfig)
    let decision = snapshot.decide(source, destination.original, request, entropy, trace: &trace)
    return withExtendedLifetime((snapshot, destination)) { trace.story(of: decision) }
}

/// What the agent's DNS makes of a name, as the first step of a story.
package func explainName(
    _ snapshot: RuntimeSnapshot, name: String, source: Source
) -> (step: DecisionStory.Step, resolved: ResolvedName?) {
    let namespace = source.identity.name.namespace
    guard let resolved = snapshot.resolve(name: name, from: namespace) else {
        let near = snapshot.nearestName(to: name, from: namespace)
        let detail =
            "\"\(name)\" is no name of the mesh's to namespace \(namespace)\(near); the resolver that the workload asked answers"
        return (DecisionStory.Step(title: "name", detail: detail, origin: nil), nil)
    }
    let addresses = resolved.addresses.map(\.description).joined(separator: ", ")
    let meaning =
        resolved.isHeadless
        ? "headless: its ready endpoints' own addresses, \(addresses.isEmpty ? "none now" : addresses)"
        : addresses.isEmpty ? "without an address" : addresses
    return (
        DecisionStory.Step(
            title: "name", detail: "\"\(name)\" is \(resolved.host), \(meaning)", origin: resolved.origin), resolved
    )
}

extension RuntimeSnapshot {
    /// ` (did you mean "reviews"?)`, or nothing. Walks over all names: for people only.
    fileprivate func nearestName(to name: String, from namespace: String) -> String {
        let names = (own[namespace]?.names ?? []) + common.names
        if !name.contains(".") {
            return NearestName.hint(
                for: name, among: names.lazy.filter { $0.service.namespace == namespace }.map(\.service.name))
        }
        let key = HostName.key(of: name, namespace: namespace)
        let keys = names.lazy.map { HostName.key(of: $0.host, namespace: $0.service.namespace) }
        return NearestName.hint(for: key, among: keys)
    }
}
