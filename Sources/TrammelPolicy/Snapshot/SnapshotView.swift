import TrammelCore

/// The services and routes as some callers see them: those that everybody sees, or what the workloads of one namespace
/// see besides or instead.
final class SnapshotView: Sendable {
    let servicePorts: [ServicePort]
    let names: [ResolvedName]
    let hosts: HostIndex
    /// Virtual addresses; indices into `servicePorts`, as in the other tables.
    let addresses: AddressTable
    /// The endpoints' own addresses of headless services.
    let ownAddresses: AddressTable
    let blocks: BlockTable
    let datagrams: DatagramTable

    init(
        servicePorts: [ServicePort], names: [ResolvedName], hosts: HostIndex, addresses: AddressTable,
        ownAddresses: AddressTable, blocks: BlockTable, datagrams: DatagramTable
    ) {
        self.servicePorts = servicePorts
        self.names = names
        self.hosts = hosts
        self.addresses = addresses
        self.ownAddresses = ownAddresses
        self.blocks = blocks
        self.datagrams = datagrams
    }

    /// The index of the service port at an address.
    @inline(__always)
    func index(at endpoint: IPEndpoint) -> Int? { addresses[endpoint] ?? elsewhere(endpoint) }

    private func elsewhere(_ endpoint: IPEndpoint) -> Int? { ownAddresses[endpoint] ?? blocks[endpoint] }
}
