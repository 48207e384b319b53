package import TrammelCore

/// A workload as Istio's metrics name it, at either end of a call.
package struct PeerLabels: Hashable, Sendable {
    package var workload: String
    package var namespace: String
    /// `spiffe://cluster.local/ns/default/sa/default`.
    package var principal: String
    package var app: String
    package var version: String
    package var canonicalService: String
    package var canonicalRevision: String

    package init(
        workload: String, namespace: String, principal: String, app: String, version: String, canonicalService: String,
        canonicalRevision: String
    ) {
        self.workload = workload
        self.namespace = namespace
        self.principal = principal
        self.app = app
        self.version = version
        self.canonicalService = canonicalService
        self.canonicalRevision = canonicalRevision
    }

    /// The labels of an attached workload, with Istio's fallbacks where it bears none.
    package init(_ identity: WorkloadIdentity, trustDomain: String = "cluster.local") {
        let namespace = identity.name.namespace
        self.init(
            workload: identity.name.name, namespace: namespace,
            principal: "spiffe://\(trustDomain)/ns/\(namespace)/sa/\(identity.serviceAccount)",
            app: identity.labels["app"] ?? "unknown", version: identity.labels["version"] ?? "unknown",
            canonicalService: identity.canonicalService, canonicalRevision: identity.canonicalRevision)
    }

    private init(all value: String) {
        self.init(
            workload: value, namespace: value, principal: value, app: value, version: value, canonicalService: value,
            canonicalRevision: value)
    }

    static let unknown = PeerLabels(all: "unknown")
    static let other = PeerLabels(all: "_other")
}

/// A service as Istio's metrics name it. Only services of the configuration get a name of their own, never what a client
/// wrote into Host.
package struct ServiceLabels: Hashable, Sendable {
    /// `reviews.default.svc.cluster.local`.
    package var host: String
    /// `reviews`, or `PassthroughCluster` and `BlackHoleCluster` as Istio names what no service stands for.
    package var name: String
    package var namespace: String

    package init(host: String, name: String, namespace: String) {
        self.host = host
        self.name = name
        self.namespace = namespace
    }

    static let unknown = ServiceLabels(host: "unknown", name: "unknown", namespace: "unknown")
    static let other = ServiceLabels(host: "_other", name: "_other", namespace: "_other")
}

/// A set of peer labels by number, the same on every loop.
package struct PeerID: Hashable, Sendable {
    package let rawValue: UInt32
    @inlinable init(rawValue: UInt32) { self.rawValue = rawValue }
    /// Nothing is known about this end.
    package static let unknown = PeerID(rawValue: 0)
    /// Known, but there were too many to count it by itself.
    package static let other = PeerID(rawValue: 1)
}

/// A set of service labels by number, the same on every loop.
package struct ServiceID: Hashable, Sendable {
    package let rawValue: UInt32
    @inlinable init(rawValue: UInt32) { self.rawValue = rawValue }
    package static let unknown = ServiceID(rawValue: 0)
    package static let other = ServiceID(rawValue: 1)
}
