package import TrammelConfig
package import TrammelCore

/// Everything that decisions are made from, frozen: the services, their routes and endpoints at one moment.
///
/// Made by `SnapshotCompiler`, one per change. A request keeps the one it began with. Every look-up is by hash.
package final class RuntimeSnapshot: Sendable {
    /// Grows with every change.
    package let version: UInt64
    package let outboundTrafficPolicy: MeshConfigSpec.OutboundTrafficPolicy
    /// The MeshConfig behind it; nil where the default holds.
    package let meshConfig: ResourceReference?
    /// Every TCP port of every service, ordered by service and port.
    package let servicePorts: [ServicePort]
    /// Every cluster that a service, a subset or a route stands for, ordered by service, port and subset as declared.
    package let clusters: [Cluster]
    /// By service, ordered.
    package let names: [ResolvedName]

    /// Indices into `servicePorts`.
    let byAddress: AddressTable
    let inbound: [WorkloadPort: ServicePort]
    let hosts: HostIndex

    init(
        version: UInt64, outboundTrafficPolicy: MeshConfigSpec.OutboundTrafficPolicy, meshConfig: ResourceReference?,
        servicePorts: [ServicePort], clusters: [Cluster], names: [ResolvedName], byAddress: AddressTable,
        inbound: [WorkloadPort: ServicePort], hosts: HostIndex
    ) {
        self.version = version
        self.outboundTrafficPolicy = outboundTrafficPolicy
        self.meshConfig = meshConfig
        self.servicePorts = servicePorts
        self.clusters = clusters
        self.names = names
        self.byAddress = byAddress
        self.inbound = inbound
        self.hosts = hosts
    }

    /// A mesh without resources.
    package static let empty = SnapshotCompiler().compile(
        resources: [Resource](), workloads: [], vips: [:], version: 0
    ).snapshot

    /// The service port that a connection to this address is for: a service's virtual address, or the own address of
    /// an endpoint of a headless service. Nil when no service owns it.
    package func servicePort(at destination: OriginalDestination) -> ServicePort? {
        byAddress[destination.endpoint].map { servicePorts[$0] }
    }

    /// What a name means to a workload of `namespace`: `reviews`, `reviews.ns`, `reviews.ns.svc` or
    /// `reviews.ns.svc.cluster.local`, in any case, with or without the root's dot. Nil when no service bears it.
    package func resolve(name: String, from namespace: String) -> ResolvedName? {
        var name = name
        return name.withUTF8 { resolve(name: UnsafeRawBufferPointer($0), from: namespace) }
    }

    /// The same over the bytes of the name.
    package func resolve(name: UnsafeRawBufferPointer, from namespace: String) -> ResolvedName? {
        var namespace = namespace
        return namespace.withUTF8 { hosts.name(name, from: UnsafeRawBufferPointer($0)) }.map { names[$0] }
    }

    /// Whether some service declares the port, so that a request to it is decided by its Host where no service owns the
    /// address.
    package func looksAtHosts(port: UInt16) -> Bool { hosts.declares(port) }

    /// What a request to an address that no service owns is for, by the host in it.
    func lookUp(_ call: Call) -> HostLookup {
        let port = call.original.endpoint.port
        guard hosts.declares(port) else { return .undeclaredPort(port) }
        return call.source._withUnsafeGuaranteedRef { source in
            source.namespace.withUnsafeBytes { namespace in
                hosts.lookUp(call.request.bytes[call.request.authority], port: port, from: namespace)
            }
        }
    }
}

/// A port of an attached workload.
struct WorkloadPort: Hashable {
    let workload: WorkloadID
    let port: UInt16
}

/// What the agent's DNS answers for a name.
package struct ResolvedName: Sendable {
    package let service: ServiceIdentity
    /// The Service.
    package let origin: ResourceReference
    /// The virtual addresses, or for a headless service those of its ready endpoints. A name with addresses of one
    /// family only exists all the same: asked for the other, the answer is NODATA.
    package let addresses: [IPAddress]
    package let isHeadless: Bool
    /// For SRV: the named ports.
    package let ports: [(name: String, transport: ServiceSpec.Transport, port: UInt16)]

    /// `reviews.default.svc.cluster.local`.
    package var host: String { service.host }
}
