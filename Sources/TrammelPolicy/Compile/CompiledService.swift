import TrammelConfig
import TrammelCore

/// A service with its endpoints and clusters; kept from one compile to the next while nothing that it is made of
/// changes.
final class CompiledService {
    struct Port {
        let spec: ServiceSpec.Port
        let cluster: Cluster
        let subsets: [(name: String, cluster: Cluster)]

        func subset(_ name: String) -> Cluster? { subsets.first { $0.name == name }?.cluster }
    }

    let shape: ServiceShape
    let addresses: [IPAddress]
    /// The ports carried over TCP, in the order of the document.
    let ports: [Port]
    /// Of each of `ports`.
    let candidates: [[Candidate]]
    /// The ports carried over UDP, and the candidates of each.
    let datagramPorts: [Port]
    let datagramCandidates: [[Candidate]]
    let rule: DestinationRules.Effective
    /// Nil where the name is for the workload's own resolver to answer.
    let resolvedName: ResolvedName?
    let warnings: [CompileWarning]
    /// Whether an endpoint is attached to this agent.
    let hasWorkloads: Bool
    /// Made for one route table, kept while it stays the same.
    private var servicePorts: (table: RouteTable?, ports: [ServicePort])?

    var identity: ServiceIdentity { shape.identity }
    var origin: ResourceReference { shape.origin }
    var hostKey: String { shape.hostKey }
    var subsetNames: [String] { rule.subsets.map(\.subset.name) }

    init(
        shape: ServiceShape, addresses: [IPAddress], ports: [Port], candidates: [[Candidate]], datagramPorts: [Port],
        datagramCandidates: [[Candidate]], rule: DestinationRules.Effective, warnings: [CompileWarning]
    ) {
        self.shape = shape
        self.addresses = addresses
        self.ports = ports
        self.candidates = candidates
        self.datagramPorts = datagramPorts
        self.datagramCandidates = datagramCandidates
        self.rule = rule
        self.warnings = warnings
        hasWorkloads = candidates.contains { $0.contains { $0.endpoint.source != nil } }
        resolvedName = CompiledService.name(shape, addresses, ports + datagramPorts)
    }

    private static func name(_ shape: ServiceShape, _ addresses: [IPAddress], _ ports: [Port]) -> ResolvedName? {
        let isHeadless = shape.address == .headless
        guard isHeadless || !addresses.isEmpty || shape.origin.key.kind == .service else { return nil }
        var seen: Set<IPAddress> = []
        return ResolvedName(
            service: shape.identity, origin: shape.origin,
            addresses: !isHeadless
                ? addresses
                : ports.flatMap { $0.cluster.endpoints }.flatMap(\.everyAddress).filter { seen.insert($0).inserted },
            isHeadless: isHeadless,
            ports: shape.ports.compactMap { port in
                // Whoever dials an endpoint by itself dials the endpoint's port.
                port.name.map { ($0, port.transport, isHeadless ? port.targetPort : port.port) }
            })
    }

    func port(_ number: UInt16) -> Port? { ports.first { $0.spec.port == number } }

    func servicePorts(routedBy table: RouteTable?) -> [ServicePort] {
        if let servicePorts, servicePorts.table === table { return servicePorts.ports }
        let made = makePorts(routedBy: table)
        servicePorts = (table, made)
        return made
    }

    /// Those carried over UDP, which no route concerns.
    func makeDatagramPorts() -> [ServicePort] {
        datagramPorts.map { port in
            ServicePort(
                service: identity, portName: port.spec.name, port: port.spec.port, appProtocol: port.spec.appProtocol,
                defaultCluster: port.cluster, routes: nil,
                origin: ResourceReference(key: origin.key, location: port.spec.location))
        }
    }

    /// The same for callers who see other routes than most.
    func makePorts(routedBy table: RouteTable?) -> [ServicePort] {
        ports.map { port in
            ServicePort(
                service: identity, portName: port.spec.name, port: port.spec.port, appProtocol: port.spec.appProtocol,
                defaultCluster: port.cluster, routes: table,
                origin: ResourceReference(key: origin.key, location: port.spec.location))
        }
    }
}
