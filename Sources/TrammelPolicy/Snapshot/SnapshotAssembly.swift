import TrammelConfig
import TrammelCore

/// Ties compiled services and routes together into the tables of a snapshot.
struct SnapshotAssembly {
    private var servicePorts: [ServicePort] = []
    private var names: [ResolvedName] = []
    /// Indices into `servicePorts`.
    private var byAddress: [IPEndpoint: Int] = [:]
    private var inbound: [WorkloadPort: ServicePort] = [:]
    private var clusters: [Cluster] = []
    private var hosts: [(key: String, ports: Range<Int>, name: Int)] = []
    private var virtualHosts: [(key: String, table: RouteTable)] = []
    private var wildcards: [(suffix: String, table: RouteTable)] = []

    /// - Parameter services: in the order of their keys.
    init(services: [CompiledService], routes: VirtualServices, warnings: inout [CompileWarning]) {
        servicePorts.reserveCapacity(services.count)
        byAddress.reserveCapacity(services.count * 2)
        inbound.reserveCapacity(services.reduce(0) { $0 + ($1.ports.first?.cluster.endpoints.count ?? 0) })
        for service in services { enter(service, routes.table(for: service), &warnings) }
        // After every virtual address, which goes before.
        for (index, port) in servicePorts.enumerated() where port.defaultCluster.isHeadless {
            for address in port.defaultCluster.ownAddresses where byAddress[address] == nil {
                byAddress[address] = index
            }
        }
        let known = Set(hosts.map(\.key))
        virtualHosts = routes.exact.filter { !known.contains($0.key) }.sorted { $0.key < $1.key }
            .map { ($0.key, $0.value.table) }
        wildcards = routes.wildcards.sorted { $0.key < $1.key }.map { ($0.key, $0.value.table) }
    }

    private mutating func enter(_ service: CompiledService, _ table: RouteTable?, _ warnings: inout [CompileWarning]) {
        let first = servicePorts.count
        for (port, compiled) in zip(service.ports, service.servicePorts(routedBy: table)) {
            servicePorts.append(compiled)
            clusters.append(port.cluster)
            for subset in port.subsets { clusters.append(subset.cluster) }
            for address in service.addresses {
                let address = IPEndpoint(address, port.spec.port)
                if let owner = byAddress[address].map({ servicePorts[$0] }) {
                    warnings.append(
                        CompileWarning(
                            .conflict, compiled.origin.key, compiled.origin.location,
                            "\(address) is \(owner.host)'s already (\(owner.origin)); calls to it go there. Give one "
                                + "of the two another clusterIP"))
                } else {
                    byAddress[address] = servicePorts.count - 1
                }
            }
            claimInbound(port.cluster.endpoints, compiled)
            claimInbound(port.cluster.notReady, compiled)
        }
        names.append(service.resolvedName)
        hosts.append((service.hostKey, first..<servicePorts.count, names.count - 1))
    }

    private mutating func claimInbound(_ endpoints: [Endpoint], _ port: ServicePort) {
        for endpoint in endpoints {
            guard let workload = endpoint.workload else { continue }
            let key = WorkloadPort(workload: workload, port: endpoint.address.port)
            if inbound[key] == nil { inbound[key] = port }
        }
    }

    func snapshot(version: UInt64, settings: SortedResources) -> RuntimeSnapshot {
        RuntimeSnapshot(
            version: version, outboundTrafficPolicy: settings.outboundTrafficPolicy, meshConfig: settings.meshConfig,
            servicePorts: servicePorts, clusters: clusters,
            names: names, byAddress: AddressTable(byAddress), inbound: inbound,
            hosts: HostIndex(
                services: hosts, ports: servicePorts, virtualHosts: virtualHosts, wildcards: wildcards))
    }
}
