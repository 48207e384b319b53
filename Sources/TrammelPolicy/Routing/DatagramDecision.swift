package import TrammelCore

/// What becomes of a flow of datagrams.
package struct DatagramDecision: Sendable {
    package enum Verdict: Sendable {
        /// To an endpoint of the cluster, of the balancer's choice; the flow stays with it.
        case forward(Cluster)
        /// To where it was going; the cluster where a service is known to be there.
        case passthrough(Cluster?)
        /// Refused: no service owns the destination and the mesh is REGISTRY_ONLY.
        case refuse
    }

    package let verdict: Verdict
    /// The service that the flow is for; nil where none is known.
    package let service: ServiceIdentity?
    /// The resource that decided; nil where none took part.
    package let origin: ResourceReference?
}

/// Decides what becomes of a flow of datagrams. Pure; once per flow. Services' ports of protocol UDP take part, routes do
/// not: there are none for UDP.
package func decideDatagrams(
    _ snapshot: RuntimeSnapshot, source: Source, original: OriginalDestination
) -> DatagramDecision {
    if let port = snapshot.datagramPort(at: original, for: source) {
        let cluster = port.defaultCluster
        return DatagramDecision(
            verdict: ClusterReference(cluster).keeps(original) ? .passthrough(cluster) : .forward(cluster),
            service: port.service, origin: port.origin)
    }
    switch snapshot.outboundTrafficPolicy {
    case .allowAny: return DatagramDecision(verdict: .passthrough(nil), service: nil, origin: nil)
    case .registryOnly: return DatagramDecision(verdict: .refuse, service: nil, origin: snapshot.meshConfig)
    }
}

extension RuntimeSnapshot {
    /// The service's port for UDP at an address, as a workload sees it.
    package func datagramPort(at destination: OriginalDestination, for source: Source) -> ServicePort? {
        view(of: source)?.datagrams[destination.endpoint] ?? common.datagrams[destination.endpoint]
    }
}
