package import TrammelConfig
import TrammelCore

/// The endpoints that one destination (a host, a port, a subset or none) stands for, and how they are treated.
///
/// Immutable; a change of resources, of workloads or of their readiness makes a new one under the same `slot`.
@usableFromInline package final class Cluster: Sendable {
    /// Dense, and the same in every snapshot for the same host, port and subset.
    package let slot: Int
    /// `outbound|9080|v2|reviews.default.svc.cluster.local`, as Envoy's statistics have it.
    package let name: String
    package let service: ServiceIdentity
    package let port: UInt16
    package let subset: String?
    /// Those that may be picked, in a stable order: the ready ones, or all where none is. Readiness is known a moment
    /// late, and a refused dial costs less than an answer that no longer holds.
    package let endpoints: [Endpoint]
    /// Those that the service selects and that do not listen (yet).
    package let notReady: [Endpoint]
    package let policy: LoadBalancer
    /// Nanoseconds.
    package let connectTimeout: UInt64
    package let kind: Kind
    /// Indices into `endpoints`, each as often as its weight has it, evenly mixed; empty where all weigh the same.
    package let rotation: [Int]
    /// The DestinationRule behind `policy`, `connectTimeout` and the subset; nil where the defaults hold.
    package let rule: ResourceReference?
    /// The endpoints' slots, in the order of `endpoints`.
    package let endpointSlots: [Int]
    /// For `headless`: every endpoint's own address, ready or not.
    let ownAddresses: Set<IPEndpoint>
    let addressing: ClusterReference.Addressing

    package enum Kind: Sendable {
        case balanced
        /// The service has no virtual address: who asked for an endpoint by its own address gets that one.
        case headless
        /// A ServiceEntry without endpoints (resolution `NONE`): a call goes where it was going.
        case asked
    }

    package var isHeadless: Bool { kind == .headless }
    package var serviceHost: String { service.host }
    package var serviceName: String { service.name }
    package var serviceNamespace: String { service.namespace }

    init(
        slot: Int, name: String, service: ServiceIdentity, port: UInt16, subset: String?, candidates: [Candidate],
        policy: LoadBalancer, connectTimeout: UInt64, kind: Kind, rule: ResourceReference?
    ) {
        self.slot = slot
        self.name = name
        self.service = service
        self.port = port
        self.subset = subset
        let ready = candidates.filter(\.isReady)
        let picked = ready.isEmpty ? candidates : ready
        endpoints = picked.map(\.endpoint)
        notReady = ready.count == candidates.count ? [] : candidates.filter { !$0.isReady }.map(\.endpoint)
        rotation = Rotation.make(weights: picked.map(\.weight))
        self.policy = policy
        self.connectTimeout = connectTimeout
        self.kind = kind
        self.rule = rule
        endpointSlots = endpoints.map(\.slot)
        switch policy {
        case .passthrough: addressing = .kept
        case .leastRequest, .random, .roundRobin: addressing = kind == .headless ? .keptIfOwn : .balanced
        }
        ownAddresses = kind == .headless ? Cluster.addresses(of: endpoints + notReady) : []
    }

    /// Whether `endpoints` are those that are not ready, for want of others.
    package var isNoneReady: Bool { endpoints.first.map { first in notReady.contains { $0 === first } } ?? false }

    /// The endpoints that the service selects, ready or not.
    package var selectedCount: Int { isNoneReady ? notReady.count : endpoints.count + notReady.count }

    private static func addresses(of endpoints: [Endpoint]) -> Set<IPEndpoint> {
        Set(endpoints.flatMap { endpoint in endpoint.everyAddress.map { IPEndpoint($0, endpoint.address.port) } })
    }
}

/// A service's names, as metric labels and logs want them.
@usableFromInline package final class ServiceIdentity: Sendable {
    /// `reviews.default.svc.cluster.local`.
    package let host: String
    package let name: String
    package let namespace: String

    package init(name: String, namespace: String) {
        self.name = name
        self.namespace = namespace
        host = HostName.qualified(name: name, namespace: namespace)
    }

    /// A ServiceEntry's, which metrics call by its host.
    package init(host: String, name: String, namespace: String) {
        self.host = host
        self.name = name
        self.namespace = namespace
    }
}

/// A resource, and the place in it that something came from.
package struct ResourceReference: Hashable, Sendable, CustomStringConvertible {
    package let key: ResourceKey
    package let location: SourceLocation

    package init(key: ResourceKey, location: SourceLocation) {
        self.key = key
        self.location = location
    }

    /// `VirtualService default/reviews (canary.yaml:12)`.
    package var description: String { "\(key) (\(location))" }
}
