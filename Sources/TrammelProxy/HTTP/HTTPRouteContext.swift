import TrammelCore
import TrammelPolicy

/// What is the same for all requests of a connection when they are decided: who asks, and where the connection was
/// going.
struct HTTPRouteContext {
    let direction: TrafficDirection
    let source: Source
    let original: OriginalDestination

    func decide(_ request: RequestView, loop: LoopContext, entropy: UInt64) -> HTTPDecision {
        let snapshot = loop.snapshot
        switch direction {
        case .outbound:
            // The address is looked up with each request: a connection outlives snapshots.
            return TrammelPolicy.decide(
                snapshot, source: source, original: original, request: request, entropy: entropy)
        case .inbound:
            return .toTheApplication(decideInbound(snapshot, workload: source.id, port: original.endpoint.port))
        }
    }

    /// For a connection that is carried as bytes.
    /// - Parameter serverName: what the client has said of itself so far.
    func decideTCP(loop: LoopContext, _ serverName: ServerName, entropy: UInt64) -> TCPDecision {
        let snapshot = loop.snapshot
        switch direction {
        case .outbound:
            return TrammelPolicy.decideTCP(
                snapshot, source: source, original: original, serverName: serverName, entropy: entropy)
        case .inbound:
            return .toTheApplication(decideInbound(snapshot, workload: source.id, port: original.endpoint.port))
        }
    }
}
