import TrammelConfig
import TrammelCore

/// A view of services and hosts while it is being put together.
struct ViewParts {
    private var services: [(service: CompiledService, ports: Range<Int>)] = []
    private(set) var servicePorts: [ServicePort] = []
    private var names: [ResolvedName] = []
    private var entries: [HostIndex.Entry] = []
    private var wildcards: [String: HostIndex.Entry] = [:]
    private var tables: [RouteTable] = []

    /// - Parameter ports: those of the service, with the routes that the callers see.
    mutating func enter(_ service: CompiledService, _ ports: [ServicePort]) {
        let first = servicePorts.count
        servicePorts += ports
        var entry = HostIndex.Entry(ports: first..<servicePorts.count)
        if let name = service.resolvedName {
            names.append(name)
            entry.name = names.count - 1
        }
        services.append((service, entry.ports))
        if let suffix = service.wildcardSuffix {
            if wildcards[suffix] == nil { wildcards[suffix] = entry }
        } else {
            entries.append(entry)
        }
    }

    /// A host that is no service; after the services.
    mutating func enter(virtualHost table: RouteTable) {
        tables.append(table)
        entries.append(HostIndex.Entry(program: table.program))
    }

    mutating func enter(wildcard suffix: String, _ table: RouteTable) {
        tables.append(table)
        wildcards[suffix, default: HostIndex.Entry()].program = table.program
    }

    func addresses(_ warnings: inout [CompileWarning]) -> [IPEndpoint: Int] {
        var found: [IPEndpoint: Int] = [:]
        found.reserveCapacity(servicePorts.count * 2)
        for (service, ports) in services {
            for index in ports {
                let port = servicePorts[index]
                for address in service.addresses {
                    let address = IPEndpoint(address, port.port)
                    guard let other = found[address] else {
                        found[address] = index
                        continue
                    }
                    let owner = servicePorts[other]
                    warnings.append(
                        CompileWarning(
                            .conflict, port.origin.key, port.origin.location,
                            "\(address) is \(owner.host)'s already (\(owner.origin)); calls to it go there. Give one "
                                + "of the two another \(service.origin.key.kind == .service ? "clusterIP" : "address")")
                    )
                }
            }
        }
        return found
    }

    func ownAddresses() -> [IPEndpoint: Int] {
        var found: [IPEndpoint: Int] = [:]
        for (index, port) in servicePorts.enumerated() where port.defaultCluster.isHeadless {
            for address in port.defaultCluster.ownAddresses where found[address] == nil { found[address] = index }
        }
        return found
    }

    func blocks() -> [(block: CIDR, port: UInt16, value: Int)] {
        services.flatMap { service, ports in
            service.shape.blocks.flatMap { block in ports.map { (block, servicePorts[$0].port, $0) } }
        }
    }

    /// What is carried over UDP, at the addresses of the services.
    private func datagrams() -> DatagramTable {
        var ports: [ServicePort] = []
        var addresses: [IPEndpoint: Int] = [:]
        var own: [IPEndpoint: Int] = [:]
        var blocks: [(block: CIDR, port: UInt16, value: Int)] = []
        for (service, _) in services where !service.datagramPorts.isEmpty {
            for port in service.makeDatagramPorts() {
                let index = ports.count
                ports.append(port)
                // Who comes first has it, as for TCP, where it is warned of.
                for address in service.addresses.map({ IPEndpoint($0, port.port) }) where addresses[address] == nil {
                    addresses[address] = index
                }
                for address in port.defaultCluster.ownAddresses where own[address] == nil { own[address] = index }
                blocks += service.shape.blocks.map { ($0, port.port, index) }
            }
        }
        return DatagramTable(
            ports: ports, addresses: addresses.merging(own) { first, _ in first }, blocks: blocks)
    }

    func view(
        exact: HostTable, addresses: AddressTable, ownAddresses: AddressTable, blocks: BlockTable
    ) -> SnapshotView {
        SnapshotView(
            servicePorts: servicePorts, names: names,
            hosts: HostIndex(
                exact: exact, entries: entries,
                wildcards: wildcards.sorted { $0.key < $1.key }.map { (suffix: $0.key, entry: $0.value) },
                ports: servicePorts, tables: tables),
            addresses: addresses, ownAddresses: ownAddresses, blocks: blocks, datagrams: datagrams())
    }
}

extension CompiledService {
    /// What follows the `*.` of its host.
    var wildcardSuffix: String? { HostName.wildcardSuffix(hostKey) }

    var clusters: [Cluster] { ports.flatMap { [$0.cluster] + $0.subsets.map(\.cluster) } }
}
