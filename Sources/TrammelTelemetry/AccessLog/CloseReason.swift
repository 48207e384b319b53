/// Why a request or a connection ended. A fixed list, so that it may serve as a metric's label; what a record says beyond
/// it is in the flags and the response code details.
package enum CloseReason: UInt8, CaseIterable, Hashable, Sendable {
    /// Both sides ended as their protocol says.
    case completed
    /// The agent answered by itself as a route told it to: redirect, direct response, injected abort.
    case answeredLocally
    /// A policy refused it.
    case denied
    /// A rate limit, circuit breaker, quota or overload limit refused it.
    case limited
    /// The client's bytes broke the protocol.
    case invalidRequest
    /// The upstream's bytes broke the protocol.
    case invalidResponse
    /// No route, host or subset to take.
    case noRoute
    /// No endpoint that could take it.
    case noUpstream
    /// The kernel did not know where the connection was going.
    case destinationUnknown
    /// Connecting to the upstream was refused, unreachable or timed out.
    case connectFailed
    /// The upstream sent RST.
    case upstreamReset
    /// The upstream closed before it had sent what it owed.
    case upstreamClosed
    /// The upstream did not answer in time.
    case upstreamTimeout
    /// The client sent RST.
    case clientReset
    /// The client closed before it had sent, or got, what was due.
    case clientClosed
    /// The client was too slow to send its request.
    case clientTimeout
    /// Nothing moved for the idle time.
    case idleTimeout
    /// The agent drained or stopped.
    case drained
    /// Somebody asked for it: `trammel connections --kill`.
    case killed
    /// The workload was detached.
    case detached
    /// The agent's own fault; its log says more.
    case agentError

    /// The stable token that logs and metrics show.
    package var label: StaticString {
        switch self {
        case .completed: "completed"
        case .answeredLocally: "answered_locally"
        case .denied: "denied"
        case .limited: "limited"
        case .invalidRequest: "invalid_request"
        case .invalidResponse: "invalid_response"
        case .noRoute: "no_route"
        case .noUpstream: "no_upstream"
        case .destinationUnknown: "destination_unknown"
        case .connectFailed: "connect_failed"
        case .upstreamReset: "upstream_reset"
        case .upstreamClosed: "upstream_closed"
        case .upstreamTimeout: "upstream_timeout"
        case .clientReset: "client_reset"
        case .clientClosed: "client_closed"
        case .clientTimeout: "client_timeout"
        case .idleTimeout: "idle_timeout"
        case .drained: "drained"
        case .killed: "killed"
        case .detached: "detached"
        case .agentError: "agent_error"
        }
    }
}

extension CloseReason: CustomStringConvertible {
    package var description: String { "\(label)" }
}
