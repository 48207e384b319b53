/// A newtype for every role that an address plays on a connection, so that a mix-up does not compile.

/// Where the application meant to go, before netfilter turned the connection to the agent.
package struct OriginalDestination: Hashable, Sendable, CustomStringConvertible {
    package let endpoint: IPEndpoint
    package init(_ endpoint: IPEndpoint) { self.endpoint = endpoint }
    package var description: String { endpoint.description }
}

/// Who connected: the far end of a downstream connection.
package struct ClientAddress: Hashable, Sendable, CustomStringConvertible {
    package let endpoint: IPEndpoint
    package init(_ endpoint: IPEndpoint) { self.endpoint = endpoint }
    package var description: String { endpoint.description }
}

/// Where the agent connects to on the client's behalf.
package struct UpstreamAddress: Hashable, Sendable, CustomStringConvertible {
    package let endpoint: IPEndpoint
    package init(_ endpoint: IPEndpoint) { self.endpoint = endpoint }
    package var description: String { endpoint.description }
}

/// Where one of the agent's own capture listeners is bound, inside a workload's network namespace.
package struct ListenerAddress: Hashable, Sendable, CustomStringConvertible {
    package let endpoint: IPEndpoint
    package init(_ endpoint: IPEndpoint) { self.endpoint = endpoint }
    package var description: String { endpoint.description }
}
