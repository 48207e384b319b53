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
    /// Every cluster that a service, a subset or a route stands for, ordered by service, port and subset as declared.
    package let clusters: [Cluster]

    let inbound: [WorkloadPort: ServicePort]
    /// What everybody sees.
    let common: SnapshotView
    /// What the workloads of a namespace see besides or instead, by its name; few have any.
    let own: [String: SnapshotView]

    init(
        version: UInt64, outboundTrafficPolicy: MeshConfigSpec.OutboundTrafficPolicy, meshConfig: ResourceReference?,
        clusters: [Cluster], inbound: [WorkloadPort: ServicePort], common: SnapshotView, own: [String: SnapshotView]
    ) {
        self.version = version
        self.outboundTrafficPolicy = outboundTrafficPolicy
        self.meshConfig = meshConfig
        self.clusters = clusters
        self.inbound = inbound
        self.common = common
        self.own = own
    }

    /// A mesh without resources.
    package static let empty = SnapshotCompiler().compile(
        resources: [], workloads: [], version: 0
    ).snapshot

    /// Every TCP port of every service, ordered by service and port; after those that everybody sees the others.
    package var servicePorts: [ServicePort] {
        all(\.servicePorts)
    }

    /// The same of UDP.
    package var datagramPorts: [ServicePort] { all(\.datagrams.ports) }

    private func all(_ ports: KeyPath<SnapshotView, [ServicePort]>) -> [ServicePort] {
        guard !own.isEmpty else { return common[keyPath: ports] }
        var found = common[keyPath: ports]
        var seen = Set(found.map { ObjectIdentifier($0.service) })
        for (_, view) in own.sorted(by: { $0.key < $1.key }) {
            let further = view[keyPath: ports].filter { !seen.contains(ObjectIdentifier($0.service)) }
            seen.formUnion(further.map { ObjectIdentifier($0.service) })
            found += further
        }
        return found
    }

    /// The service port that a connection from a workload to this address is for: a service's virtual address, the own
    /// address of an endpoint of a headless service, or an address in a block of a ServiceEntry's. Nil when no service
    /// that the workload sees owns it.
    package func servicePort(at destination: OriginalDestination, for source: Source) -> ServicePort? {
        if let view = view(of: source), let index = view.index(at: destination.endpoint) {
            return view.servicePorts[index]
        }
        return common.index(at: destination.endpoint).map { common.servicePorts[$0] }
    }

    /// The same for a decision.
    @inline(__always)
    func plan(at endpoint: IPEndpoint, for source: Source) -> PortPlan? {
        if let view = view(of: source), let index = view.index(at: endpoint) { return view.hosts.ports[index] }
        return common.index(at: endpoint).map { common.hosts.ports[$0] }
    }

    @inline(__always)
    func view(of source: Source) -> SnapshotView? { own.isEmpty ? nil : own[source.identity.name.namespace] }

    /// What a name means to a workload of `namespace`: `reviews`, `reviews.ns`, `reviews.ns.svc` or
    /// `reviews.ns.svc.cluster.local`, or a ServiceEntry's host, in any case, with or without the root's dot. Nil when no
    /// service that the namespace sees bears it, or one that leaves the answer to the workload's own resolver.
    package func resolve(name: String, from namespace: String) -> ResolvedName? {
        var name = name
        return name.withUTF8 { resolve(name: UnsafeRawBufferPointer($0), from: namespace) }
    }

    /// The same over the bytes of the name.
    package func resolve(name: UnsafeRawBufferPointer, from namespace: String) -> ResolvedName? {
        let view = own.isEmpty ? nil : own[namespace]
        var namespace = namespace
        return namespace.withUTF8 { namespace in
            CanonicalHost.with(name, namespace: UnsafeRawBufferPointer(namespace)) { host in
                if let view, let index = view.hosts.name(host) { return view.names[index] }
                if let index = common.hosts.name(host) { return common.names[index] }
                if let view, let index = view.hosts.wildcardName(host) { return view.names[index] }
                return common.hosts.wildcardName(host).map { common.names[$0] }
            }
        }
    }

    /// Whether some service declares the port, so that a request to it is decided by its Host where no service owns the
    /// address.
    package func looksAtHosts(port: UInt16, for source: Source) -> Bool {
        common.hosts.declares(port) || view(of: source)?.hosts.declares(port) ?? false
    }

    /// What a request to an address that no service owns is for, by the host in it.
    func lookUp(_ call: Call) -> HostLookup {
        let port = call.original.endpoint.port
        return call.source._withUnsafeGuaranteedRef { source in
            guard looksAtHosts(port: port, for: source) else { return .undeclaredPort(port) }
            return lookUp(call.request.bytes[call.request.authority], port: port, from: source, .request)
        }
    }

    /// The service port, or the routes of the VirtualService, that a name stands for: exact names before wildcards, the
    /// longest wildcard first.
    func lookUp(
        _ name: UnsafeRawBufferPointer, port: UInt16, from source: Source, _ purpose: LookupPurpose
    ) -> HostLookup {
        let view = view(of: source)
        return source.namespace.withUnsafeBytes { namespace in
            CanonicalHost.with(name, namespace: namespace) { host -> HostLookup? in
                if let found = view?.hosts.lookUp(host, port: port, purpose)
                    ?? common.hosts.lookUp(host, port: port, purpose)
                {
                    return found
                }
                let everybody = common.hosts.wildcardLookUp(host, port: port, purpose)
                guard let few = view?.hosts.wildcardLookUp(host, port: port, purpose) else { return everybody?.found }
                return (everybody?.length ?? -1) > few.length ? everybody?.found : few.found
            }
        } ?? .nothing
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
