import TrammelConfig
import TrammelCore

/// Ties compiled services and routes together into the tables of a snapshot.
struct SnapshotAssembly {
    private var servicePorts: [ServicePort] = []
    private var names: [ResolvedName] = []
    private var byAddress: [IPEndpoint: ServicePort] = [:]
    private var inbound: [WorkloadPort: ServicePort] = [:]
    private var clusters: [Cluster] = []
    private var hosts: [(key: String, ports: Range<Int>, name: Int)] = []
    private var virtualHosts: [(key: String, table: RouteTable)] = []
    private var wildcards: [(suffix: String, table: RouteTable)] = []

    /// - Parameter services: in the order of their keys.
    init(services: [CompiledService], routes: VirtualServices, warnings: inout [CompileWarning]) {
        servicePorts.reserveCapacity(services.count)
        byAddress.reserveCapacity(services.count * 2)
        for service in services { enter(service, routes.table(for: service.identity), &warnings) }
        // After every virtual address, which goes before.
        for port in servicePorts where port.defaultCluster.isHeadless {
            for address in port.defaultCluster.ownAddresses where byAddress[address] == nil {
                byAddress[address] = port
            }
        }
        let known = Set(hosts.map(\.key))
        virtualHosts = routes.exact.filter { !known.contains($0.key) }.sorted { $0.key < $1.key }
            .map { ($0.key, $0.value.table) }
        wildcards = routes.wildcards.sorted { $0.key < $1.key }.map { ($0.key, $0.value.table) }
        clusters.sort { $0.name < $1.name }
    }

    private mutating func enter(_ service: CompiledService, _ table: RouteTable?, _ warnings: inout [CompileWarning]) {
        let first = servicePorts.count
        for port in service.ports {
            let reference = ResourceReference(key: service.resource.key, location: port.spec.location)
            let compiled = ServicePort(
                service: service.identity, portName: port.spec.name, port: port.spec.port,
                appProtocol: port.spec.appProtocol, defaultCluster: port.cluster, routes: table, origin: reference)
            servicePorts.append(compiled)
            clusters.append(port.cluster)
            clusters += port.subsets.values
            for address in service.addresses {
                let address = IPEndpoint(address, port.spec.port)
                if let owner = byAddress[address] {
                    warnings.append(
                        CompileWarning(
                            .conflict, reference.key, reference.location,
                            "\(address) is \(owner.host)'s already (\(owner.origin)); calls to it go there. Give one "
                                + "of the two another clusterIP"))
                } else {
                    byAddress[address] = compiled
                }
            }
            for endpoint in port.cluster.endpoints + port.cluster.notReady {
                guard let workload = endpoint.workload else { continue }
                let key = WorkloadPort(workload: workload, port: endpoint.address.port)
                if inbound[key] == nil { inbound[key] = compiled }
            }
        }
        names.append(service.resolvedName)
        let name = HostName.key(of: service.identity.host, namespace: service.key.namespace)
        hosts.append((name, first..<servicePorts.count, names.count - 1))
    }

    func snapshot(version: UInt64, settings: SortedResources) -> RuntimeSnapshot {
        RuntimeSnapshot(
            version: version, outboundTrafficPolicy: settings.outboundTrafficPolicy, meshConfig: settings.meshConfig,
            servicePorts: servicePorts, clusters: clusters,
            names: names, byAddress: byAddress, inbound: inbound,
            hosts: HostIndex(
                services: hosts, ports: servicePorts, virtualHosts: virtualHosts, wildcards: wildcards))
    }
}
