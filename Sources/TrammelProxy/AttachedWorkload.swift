import Synchronization
package import TrammelCore
package import TrammelPolicy
package import TrammelTelemetry

/// A workload as the data path knows it: who it is, and the addresses of its network namespace.
package final class AttachedWorkload: Sendable {
    package let source: Source
    /// Of the interfaces in its network namespace, loopback left out. Read when a capture port was dialled, not with
    /// every connection.
    private let ownAddresses: Mutex<[IPAddress]>
    /// Whether a call that is carried to this workload keeps the client's address as its source.
    package let keepsSourceAddress: Bool
    /// What metrics and logs call it.
    package let peer: PeerID
    /// What it takes of the agent.
    package let use = WorkloadUse()

    package var id: WorkloadID { source.id }
    package var identity: WorkloadIdentity { source.identity }

    package init(source: Source, addresses: [IPAddress], keepsSourceAddress: Bool = true, peer: PeerID) {
        self.source = source
        ownAddresses = Mutex(addresses)
        self.keepsSourceAddress = keepsSourceAddress
        self.peer = peer
    }

    package var addresses: [IPAddress] { ownAddresses.withLock { $0 } }

    /// Its interfaces have others now.
    package func take(addresses: [IPAddress]) { ownAddresses.withLock { $0 = addresses } }
}
