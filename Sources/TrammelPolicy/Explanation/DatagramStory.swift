package import TrammelCore

/// Tells how `decideDatagrams` comes to its decision, for the same arguments.
package func explainDatagrams(
    _ snapshot: RuntimeSnapshot, source: Source, original: OriginalDestination
) -> DecisionStory {
    let decision = decideDatagrams(snapshot, source: source, original: original)
    let port = snapshot.datagramPort(at: original, for: source)
    var steps: [DecisionStory.Step] = [port.map { .owned(original, $0, over: "udp") } ?? .unowned(original)]
    var possibilities: [DecisionStory.Possibility] = []
    let verdict: DecisionStory.Verdict
    switch decision.verdict {
    case .forward(let cluster):
        verdict = .forward(cluster)
        steps.append(.balancing(cluster, orElse: "the sender is told that nobody listens"))
        possibilities = [.all(to: cluster)]
    case .passthrough(let cluster):
        verdict = .passthrough(cluster)
        if let cluster {
            steps.append(.kept(cluster, original))
            possibilities = [.all(to: cluster)]
        }
    case .refuse: verdict = .refuse
    }
    if port == nil {
        steps.append(
            .outsideTheMesh(
                snapshot.outboundTrafficPolicy, snapshot.meshConfig, answer: "the sender is told that it may not"))
    }
    return DecisionStory(
        steps: steps, verdict: verdict, possibilities: possibilities, decidedBy: decision.origin, route: nil)
}
