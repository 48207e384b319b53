package import TrammelCore

/// One place that a call may be carried to: a workload (or a bare address) and a port.
///
/// Immutable, and the same object across snapshots for as long as the workload, its address and the port stay, so
/// that identity (`===`) tells endpoints apart.
package final class Endpoint: Sendable {
    /// Dense, and never given to another endpoint while the agent runs: per-loop state (active requests, pools)
    /// lives in arrays indexed by it.
    package let slot: Int
    /// The attached workload behind it; nil where only an address is known.
    package let source: Source?
    /// The address of the workload's interface, or loopback where the application listens on nothing else, and the
    /// target port.
    package let address: IPEndpoint
    /// The workload's address of the other family, where the application is known to listen there too.
    package let otherFamily: IPAddress?
    /// Every address of the workload's interfaces, the preferred one first.
    package let addresses: [IPAddress]

    package var workload: WorkloadID? { source?.id }
    package var identity: WorkloadIdentity? { source?.identity }
    package var labels: [String: String] { source?.identity.labels ?? [:] }

    init(slot: Int, source: Source?, address: IPEndpoint, otherFamily: IPAddress?, addresses: [IPAddress]) {
        self.slot = slot
        self.source = source
        self.address = address
        self.otherFamily = otherFamily
        self.addresses = addresses
    }

    /// Where a client of that family reaches it: by its own family if that is possible, so that its address can be kept.
    package func address(for family: IPAddress.Family) -> IPEndpoint {
        guard let otherFamily, otherFamily.family == family else { return address }
        return IPEndpoint(otherFamily, address.port)
    }
}

extension Endpoint: CustomStringConvertible {
    /// `reviews-v2 (10.1.0.3:9080)`.
    package var description: String { identity.map { "\($0.name) (\(address))" } ?? "\(address)" }
}
