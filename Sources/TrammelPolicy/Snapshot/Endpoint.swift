package import TrammelCore

/// One place that a call may be carried to: a workload (or a bare address) and a port.
///
/// Immutable, and the same object across snapshots for as long as the workload, its address and the port stay, so
/// that identity (`===`) tells endpoints apart.
package final class Endpoint: Sendable {
    /// Dense: per-loop state (active requests) lives in arrays indexed by it. Given to another endpoint only long after
    /// this one is no more.
    package let slot: Int
    /// Never another endpoint's.
    package let serial: UInt64
    /// The attached workload behind it; nil where only an address is known.
    package let source: Source?
    /// The address of the workload's interface, or loopback where the application listens on nothing else, and the
    /// target port.
    package let address: IPEndpoint
    /// The workload's address of the other family, where the application is known to listen there too.
    package let otherFamily: IPAddress?
    /// Every address of the workload's interfaces, the preferred one first.
    package let addresses: [IPAddress]
    /// Who is there, for one that no agent attached and that a WorkloadEntry or a ServiceEntry describes.
    private let described: WorkloadIdentity?

    package var workload: WorkloadID? { source?.id }
    /// Never empty.
    var everyAddress: [IPAddress] { addresses.isEmpty ? [address.address] : addresses }
    package var identity: WorkloadIdentity? { source?.identity ?? described }
    package var labels: [String: String] { identity?.labels ?? [:] }

    init(
        slot: Int, serial: UInt64, source: Source?, address: IPEndpoint, otherFamily: IPAddress?,
        addresses: [IPAddress]
    ) {
        self.slot = slot
        self.serial = serial
        described = nil
        self.source = source
        self.address = address
        self.otherFamily = otherFamily
        self.addresses = addresses
    }

    /// A bare address.
    init(slot: Int, serial: UInt64, address: IPEndpoint, described: WorkloadIdentity?) {
        self.slot = slot
        self.serial = serial
        self.address = address
        self.described = described
        source = nil
        otherFamily = nil
        addresses = []
    }

    /// Where a client of that family reaches it: by its own family if that is possible, so that its address can be kept.
    package func address(for family: IPAddress.Family) -> IPEndpoint {
        guard let otherFamily, otherFamily.family == family else { return address }
        return IPEndpoint(otherFamily, address.port)
    }
}

extension Endpoint: CustomStringConvertible {
    /// `reviews-v2 (10.1.0.3:9080)`; the address alone where nobody has a name for it.
    package var description: String {
        identity.flatMap { $0.name.name.isEmpty ? nil : "\($0.name) (\(address))" } ?? "\(address)"
    }
}
