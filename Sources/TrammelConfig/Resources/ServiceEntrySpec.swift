package import TrammelCore

/// Istio's `ServiceEntry` (networking/v1alpha3/service_entry.proto): a service that the mesh knows by what is written
/// here, be it outside of the mesh or made of addresses inside it.
package struct ServiceEntrySpec: Sendable, Equatable {
    /// Full names, lower case, each a service of its own with the same ports and endpoints; `*.example.com` stands for
    /// whatever ends so. A bare name without dots stays as it is: it is a DNS name, not a service of the namespace.
    package var hosts: [String]
    /// Virtual addresses. Blocks are for resolution `NONE`, or tell connections that are carried as bytes apart.
    package var addresses: [CIDR]
    /// `targetPort` is the endpoints' port unless an endpoint maps the port's name to another.
    package var ports: [ServiceSpec.Port]
    package var location: Location
    package var resolution: Resolution
    /// Empty with `DNS` and `DNS_ROUND_ROBIN` means the host itself; always empty with `NONE`.
    package var endpoints: [WorkloadEntrySpec]
    /// The labels of the workloads and WorkloadEntries of the namespace that are its endpoints; nil for none. Never
    /// together with `endpoints`.
    package var workloadSelector: [String: String]?
    package var exportTo: ExportTo

    package enum Location: String, Sendable {
        case external = "MESH_EXTERNAL"
        case inside = "MESH_INTERNAL"
    }

    package enum Resolution: String, Sendable {
        /// Wherever the client was going.
        case none = "NONE"
        case `static` = "STATIC"
        /// Every address that the name has is an endpoint.
        case dns = "DNS"
        /// A new connection goes to the first address of the latest answer; those that are open stay.
        case dnsRoundRobin = "DNS_ROUND_ROBIN"
    }

    package init(
        hosts: [String], addresses: [CIDR] = [], ports: [ServiceSpec.Port], location: Location = .external,
        resolution: Resolution = .none, endpoints: [WorkloadEntrySpec] = [], workloadSelector: [String: String]? = nil,
        exportTo: ExportTo = .everywhere
    ) {
        self.hosts = hosts
        self.addresses = addresses
        self.ports = ports
        self.location = location
        self.resolution = resolution
        self.endpoints = endpoints
        self.workloadSelector = workloadSelector
        self.exportTo = exportTo
    }
}

/// Istio's `WorkloadEntry` (networking/v1alpha3/workload_entry.proto): an endpoint that no agent attached. Also the form
/// of a ServiceEntry's `endpoints`.
package struct WorkloadEntrySpec: Sendable, Equatable {
    package var address: Address
    /// By the name of the service's port; a port that is not here is reached at the service's target port.
    package var ports: [String: UInt16]
    package var labels: [String: String]
    package var network: String
    /// `region/zone/subzone`, or a part of it from the front.
    package var locality: String
    /// Relative to the other endpoints; 0 stands for 1, as in Istio.
    package var weight: UInt32
    package var serviceAccount: String
    package var location: SourceLocation

    package enum Address: Sendable, Hashable {
        case ip(IPAddress)
        /// A name to be resolved, lower case. Only where the resolution is DNS.
        case host(String)
    }

    package init(
        address: Address, ports: [String: UInt16] = [:], labels: [String: String] = [:], network: String = "",
        locality: String = "", weight: UInt32 = 0, serviceAccount: String = "", location: SourceLocation
    ) {
        self.address = address
        self.ports = ports
        self.labels = labels
        self.network = network
        self.locality = locality
        self.weight = weight
        self.serviceAccount = serviceAccount
        self.location = location
    }
}

/// The namespaces whose workloads see a resource.
package enum ExportTo: Sendable, Hashable {
    /// Absent, or `*`.
    case everywhere
    /// Names; `.` has been replaced by the resource's own, and `~` leaves the set empty.
    case namespaces(Set<String>)

    package func includes(_ namespace: String) -> Bool {
        switch self {
        case .everywhere: true
        case .namespaces(let names): names.contains(namespace)
        }
    }
}
