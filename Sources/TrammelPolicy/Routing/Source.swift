package import TrammelCore

/// The workload that a connection comes from, as the kernel facts behind its listener say. Made once per attachment
/// and handed to every decision.
package final class Source: Sendable {
    package let id: WorkloadID
    package let identity: WorkloadIdentity
    /// The namespace's bytes, which complete a short host name.
    let namespace: [UInt8]
    /// The labels' bytes, which `sourceLabels` are held against.
    let labels: [(name: [UInt8], value: [UInt8])]

    package init(id: WorkloadID, identity: WorkloadIdentity) {
        self.id = id
        self.identity = identity
        namespace = Array(identity.name.namespace.utf8)
        labels = identity.labels.map { (Array($0.key.utf8), Array($0.value.utf8)) }
    }
}

/// Where a connection was going, and what a snapshot knows to be there.
package struct HTTPDestination: Sendable {

    /// What `RuntimeSnapshot.servicePort(at:)` said; nil when no service owns the address.
    package let servicePort: ServicePort?
    package let original: OriginalDestination

    package init(servicePort: ServicePort?, original: OriginalDestination) {
        self.servicePort = servicePort
        self.original = original
    }
}
