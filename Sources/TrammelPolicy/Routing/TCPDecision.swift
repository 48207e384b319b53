import TrammelConfig
import TrammelCore

/// What becomes of a connection that is carried as bytes.
package struct TCPDecision: Sendable {
    package enum Verdict: Sendable {
        /// To an endpoint of the cluster, of the balancer's choice.
        case forward(Cluster)
        /// To the original destination, as asked; the cluster where a service is known to be there.
        case passthrough(Cluster?)
        /// Closed at once: no service owns the destination and the mesh is REGISTRY_ONLY. Flag UH, cluster
        /// `BlackHoleCluster`, as Istio logs it.
        case refuse
    }

    package let verdict: Verdict
    /// The service that the connection is for; nil where none is known.
    package let service: ServiceIdentity?
    /// The resource that decided; nil where none took part.
    package let origin: ResourceReference?

    package var cluster: Cluster? {
        switch verdict {
        case .forward(let cluster): cluster
        case .passthrough(let cluster): cluster
        case .refuse: nil
        }
    }
}

/// Decides what becomes of a connection that is carried as bytes. Pure; once per connection.
package func decideTCP(
    _ snapshot: RuntimeSnapshot, source: Source, destination: HTTPDestination
) -> TCPDecision {
    guard let port = destination.servicePort else {
        switch snapshot.outboundTrafficPolicy {
        case .allowAny: return TCPDecision(verdict: .passthrough(nil), service: nil, origin: nil)
        case .registryOnly: return TCPDecision(verdict: .refuse, service: nil, origin: snapshot.meshConfig)
        }
    }
    let cluster = port.defaultCluster
    return TCPDecision(
        verdict: ClusterReference(cluster).keeps(destination.original) ? .passthrough(cluster) : .forward(cluster),
        service: port.service, origin: port.origin)
}
