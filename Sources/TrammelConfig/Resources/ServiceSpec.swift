package import TrammelCore

/// Core `v1 Service`: a name and a virtual address before the attached workloads that its selector finds.
package struct ServiceSpec: Sendable, Equatable {
    package var selector: [String: String]
    package var ports: [Port]
    package var clusterIP: ClusterIP
    /// For which families an address is allocated where none is named; empty means both.
    package var ipFamilies: [IPAddress.Family]
    /// Of the annotation `networking.istio.io/exportTo`.
    package var exportTo: ExportTo

    /// The service's virtual address.
    package enum ClusterIP: Sendable, Equatable {
        /// None was named: the store allocates one per address family.
        case allocate
        /// `None`: the name resolves to the endpoints' own addresses.
        case headless
        case addresses([IPAddress])
    }

    package struct Port: Sendable, Equatable {
        /// May be absent in a service of one port.
        package var name: String?
        /// 1…65535.
        package var port: UInt16
        /// The endpoint's port; the service's own where absent.
        package var targetPort: UInt16
        /// The name that was written as `targetPort`: a workload's port of that name, `targetPort` where it has none.
        package var targetPortName: String?
        package var transport: Transport
        package var appProtocol: AppProtocol
        package var location: SourceLocation

        package init(
            name: String?, port: UInt16, targetPort: UInt16, targetPortName: String? = nil, transport: Transport = .tcp,
            appProtocol: AppProtocol = .undeclared, location: SourceLocation
        ) {
            self.name = name
            self.port = port
            self.targetPort = targetPort
            self.targetPortName = targetPortName
            self.transport = transport
            self.appProtocol = appProtocol
            self.location = location
        }
    }

    package enum Transport: String, Sendable { case tcp = "TCP", udp = "UDP" }

    package init(
        selector: [String: String], ports: [Port], clusterIP: ClusterIP = .allocate,
        ipFamilies: [IPAddress.Family] = [], exportTo: ExportTo = .everywhere
    ) {
        self.selector = selector
        self.ports = ports
        self.clusterIP = clusterIP
        self.ipFamilies = ipFamilies
        self.exportTo = exportTo
    }
}

/// What a port is declared to speak, from `appProtocol` or the prefix of the port's name (`http-web`), as Istio does.
package enum AppProtocol: String, Sendable, Hashable {
    /// Nothing declared: found out from the first bytes of either side.
    case undeclared
    case http, http2, grpc
    case https, tls
    case tcp, mongo, mysql, redis
    case udp

    /// Whether the agent reads requests on such a port.
    package var isHTTP1: Bool { self == .http }
    /// Whether the client speaks first, and says in its first message whom it means.
    package var isTLS: Bool { self == .https || self == .tls }
}
