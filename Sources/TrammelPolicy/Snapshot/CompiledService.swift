import TrammelConfig
import TrammelCore

/// A Service with its endpoints and clusters; kept from one compile to the next while nothing that it is made of
/// changes.
final class CompiledService {
    struct Port {
        let spec: ServiceSpec.Port
        let cluster: Cluster
        let subsets: [(name: String, cluster: Cluster)]

        func subset(_ name: String) -> Cluster? { subsets.first { $0.name == name }?.cluster }
    }

    let origin: ResourceReference
    let spec: ServiceSpec
    let identity: ServiceIdentity
    /// `HostName.key` of its host.
    let hostKey: String
    let addresses: [IPAddress]
    /// The ports carried over TCP, in the order of the document.
    let ports: [Port]
    let subsetNames: [String]
    let resolvedName: ResolvedName
    let warnings: [CompileWarning]
    /// Made for one route table, kept while it stays the same.
    private var servicePorts: (table: RouteTable?, ports: [ServicePort])?

    var key: ServiceKey { ServiceKey(namespace: identity.namespace, name: identity.name) }

    init(
        origin: ResourceReference, spec: ServiceSpec, identity: ServiceIdentity, addresses: [IPAddress],
        ports: [Port], subsetNames: [String], warnings: [CompileWarning]
    ) {
        self.origin = origin
        self.spec = spec
        self.identity = identity
        self.addresses = addresses
        self.ports = ports
        self.subsetNames = subsetNames
        self.warnings = warnings
        hostKey = HostName.key(of: identity.host, namespace: identity.namespace)
        let isHeadless = spec.clusterIP == .headless
        var seen: Set<IPAddress> = []
        resolvedName = ResolvedName(
            service: identity, origin: origin,
            addresses: !isHeadless
                ? addresses
                : ports.flatMap { $0.cluster.endpoints }.flatMap(\.addresses).filter { seen.insert($0).inserted },
            isHeadless: isHeadless,
            ports: spec.ports.compactMap { port in port.name.map { ($0, port.transport, port.port) } })
    }

    func port(_ number: UInt16) -> Port? { ports.first { $0.spec.port == number } }

    /// Whether the Service itself is as it was.
    func isStill(_ origin: ResourceReference, _ spec: ServiceSpec, _ addresses: [IPAddress]) -> Bool {
        self.origin == origin && self.spec == spec && self.addresses == addresses
    }

    func servicePorts(routedBy table: RouteTable?) -> [ServicePort] {
        if let servicePorts, servicePorts.table === table { return servicePorts.ports }
        let made = ports.map { port in
            ServicePort(
                service: identity, portName: port.spec.name, port: port.spec.port, appProtocol: port.spec.appProtocol,
                defaultCluster: port.cluster, routes: table,
                origin: ResourceReference(key: origin.key, location: port.spec.location))
        }
        servicePorts = (table, made)
        return made
    }
}
