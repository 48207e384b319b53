/// One of `GET /v1/services`, ordered by namespace and name.
package struct KnownService: Codable, Hashable, Sendable {
    package var namespace: String
    package var name: String
    /// The names that a workload may call it by.
    package var hosts: [String]
    /// Its virtual addresses; empty for a headless service.
    package var addresses: [String]
    package var ports: [Port]
    package var endpoints: Endpoints
    package var source: SourceReference?

    package struct Port: Codable, Hashable, Sendable {
        package var name: String?
        package var port: UInt16
        package var targetPort: UInt16
        /// `TCP` or `UDP`.
        package var transport: String
        /// What it is declared to speak: `http`, `tcp` …; `detect` where nothing is.
        package var appProtocol: String

        package init(name: String? = nil, port: UInt16, targetPort: UInt16, transport: String, appProtocol: String) {
            self.name = name
            self.port = port
            self.targetPort = targetPort
            self.transport = transport
            self.appProtocol = appProtocol
        }
    }

    package struct Endpoints: Codable, Hashable, Sendable {
        package var ready: Int
        package var total: Int

        package init(ready: Int, total: Int) {
            self.ready = ready
            self.total = total
        }
    }

    package init(
        namespace: String, name: String, hosts: [String], addresses: [String], ports: [Port], endpoints: Endpoints,
        source: SourceReference? = nil
    ) {
        self.namespace = namespace
        self.name = name
        self.hosts = hosts
        self.addresses = addresses
        self.ports = ports
        self.endpoints = endpoints
        self.source = source
    }
}

/// One of `GET /v1/endpoints`, ordered by service, port and address: one endpoint of one port of one service.
package struct KnownEndpoint: Codable, Hashable, Sendable {
    package enum Health: String, Codable, Hashable, Sendable {
        case ready
        /// Nothing listens on its port.
        case notReady
        /// Taken out by outlier detection for a while.
        case ejected
    }

    /// `namespace/name` of the service.
    package var service: String
    /// The service's port.
    package var port: UInt16
    /// `TCP` or `UDP`.
    package var transport: String
    /// `address:port` of the endpoint.
    package var address: String
    /// `namespace/name` of the workload behind it, where it is attached to this agent.
    package var workload: String?
    /// The subsets of the destination's rule that it belongs to.
    package var subsets: [String]
    package var health: Health
    package var reason: String?
    package var weight: UInt32
    package var zone: String?
    package var openConnections: Int

    package init(
        service: String, port: UInt16, transport: String = "TCP", address: String, workload: String? = nil,
        subsets: [String] = [],
        health: Health, reason: String? = nil, weight: UInt32 = 1, zone: String? = nil, openConnections: Int = 0
    ) {
        self.service = service
        self.port = port
        self.transport = transport
        self.address = address
        self.workload = workload
        self.subsets = subsets
        self.health = health
        self.reason = reason
        self.weight = weight
        self.zone = zone
        self.openConnections = openConnections
    }
}
