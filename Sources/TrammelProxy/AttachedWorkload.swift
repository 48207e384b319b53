package import TrammelCore
package import TrammelPolicy
package import TrammelTelemetry

/// A workload as the data path knows it: who it is, and the addresses of its network namespace.
package final class AttachedWorkload: Sendable {
    package let source: Source
    /// The addresses of the interfaces in its network namespace, loopback left out.
    package let addresses: [IPAddress]
    /// Whether a call that is carried to this workload keeps the client's address as its source.
    package let keepsSourceAddress: Bool
    /// What metrics and logs call it.
    package let peer: PeerID

    package var id: WorkloadID { source.id }
    package var identity: WorkloadIdentity { source.identity }

    package init(source: Source, addresses: [IPAddress], keepsSourceAddress: Bool = true, peer: PeerID) {
        self.source = source
        self.addresses = addresses
        self.keepsSourceAddress = keepsSourceAddress
        self.peer = peer
    }
}
