import TrammelCore

/// The services' ports for UDP, by where a datagram may be going.
final class DatagramTable: Sendable {
    let ports: [ServicePort]
    private let addresses: AddressTable
    private let blocks: BlockTable

    /// - Parameters: indices into `ports`, by the services' addresses, those of headless services' endpoints, and blocks.
    init(ports: [ServicePort], addresses: [IPEndpoint: Int], blocks: [(block: CIDR, port: UInt16, value: Int)]) {
        self.ports = ports
        self.addresses = AddressTable(addresses)
        self.blocks = BlockTable(blocks)
    }

    subscript(endpoint: IPEndpoint) -> ServicePort? {
        guard !ports.isEmpty else { return nil }
        return (addresses[endpoint] ?? blocks[endpoint]).map { ports[$0] }
    }
}
