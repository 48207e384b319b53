import TrammelConfig
import TrammelCore

/// A Service with its endpoints and clusters, before routes are tied to it.
struct CompiledService {
    struct Port {
        let spec: ServiceSpec.Port
        let cluster: Cluster
        let subsets: [String: Cluster]
    }

    let key: ServiceKey
    let resource: Resource
    let spec: ServiceSpec
    let identity: ServiceIdentity
    let addresses: [IPAddress]
    /// The ports carried over TCP, in the order of the document.
    let ports: [Port]
    let subsetNames: [String]

    func port(_ number: UInt16) -> Port? { ports.first { $0.spec.port == number } }

    var resolvedName: ResolvedName {
        let isHeadless = spec.clusterIP == .headless
        var seen: Set<IPAddress> = []
        let own = ports.flatMap { $0.cluster.endpoints }.flatMap(\.addresses).filter { seen.insert($0).inserted }
        return ResolvedName(
            service: identity, origin: ResourceReference(key: resource.key, location: resource.location),
            addresses: isHeadless ? own : addresses, isHeadless: isHeadless,
            ports: spec.ports.compactMap { port in port.name.map { ($0, port.transport, port.port) } })
    }
}
