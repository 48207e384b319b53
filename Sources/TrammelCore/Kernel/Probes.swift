/// Tells health probes that come from this node from other connections.
package protocol ProbeRecognition: Sendable {
    /// Who probes: the cgroup, as the operator has named it. Nil for any other connection, and where the kernel does not
    /// tell. Asked once for each inbound connection, before its first byte.
    func prober(from client: ClientAddress, to destination: OriginalDestination) -> String?
}

/// Takes nobody for a prober.
package struct NoProbes: ProbeRecognition {
    package init() {}
    package func prober(from client: ClientAddress, to destination: OriginalDestination) -> String? { nil }
}
