package import TrammelCore

/// What the agent knows of an attached workload, as far as services and routes have a use for it.
package struct WorkloadFacts: Sendable {
    package let id: WorkloadID
    package let identity: WorkloadIdentity
    /// Of its interfaces, the preferred one first; without any, it is reached by loopback.
    package let addresses: [IPAddress]
    /// Ports that are known not to be in LISTEN. A port that nothing is known of is taken for ready.
    package let notListening: Set<UInt16>
    /// Where a port is reached, for those that are not at the first address: an application may listen on one of
    /// several only, or on loopback.
    package let listeningElsewhere: [UInt16: IPAddress]
    /// Where a port is reached by the address family that it is not reached by otherwise, for those that are known to
    /// be reached by both.
    package let listeningInOtherFamily: [UInt16: IPAddress]
    /// By name, for services whose target port is one.
    package let ports: [String: UInt16]

    package init(
        id: WorkloadID, identity: WorkloadIdentity, addresses: [IPAddress], notListening: Set<UInt16> = [],
        listeningElsewhere: [UInt16: IPAddress] = [:], listeningInOtherFamily: [UInt16: IPAddress] = [:],
        ports: [String: UInt16] = [:]
    ) {
        self.id = id
        self.identity = identity
        self.addresses = addresses
        self.notListening = notListening
        self.listeningElsewhere = listeningElsewhere
        self.listeningInOtherFamily = listeningInOtherFamily
        self.ports = ports
    }
}

/// The virtual addresses of a service, at most one of each family.
package typealias VIPs = [IPAddress]
