package import TrammelCore

/// `discovery.k8s.io/v1 EndpointSlice`: endpoints of a Service, as another control plane or a script knows them. Its
/// fields stand at the top of the document, beside `metadata`.
package struct EndpointSliceSpec: Sendable, Equatable {
    /// Of the label `kubernetes.io/service-name`: a Service of the same namespace.
    package var service: String
    /// In the order of the document.
    package var endpoints: [Endpoint]
    /// Each is a port that every endpoint listens on, under the name of the service's port.
    package var ports: [Port]

    package struct Endpoint: Sendable, Equatable {
        /// Never empty; the same place under several addresses, of which the first is dialled.
        package var addresses: [IPAddress]
        /// `conditions.ready`, absent meaning true; `serving` and `terminating` count where it is false.
        package var isReady: Bool
        /// Goes away: not picked while another is ready.
        package var isTerminating: Bool
        package var hostname: String
        package var node: String
        package var zone: String
        /// `targetRef.name`, for listings.
        package var target: String

        package init(
            addresses: [IPAddress], isReady: Bool = true, isTerminating: Bool = false, hostname: String = "",
            node: String = "", zone: String = "", target: String = ""
        ) {
            self.addresses = addresses
            self.isReady = isReady
            self.isTerminating = isTerminating
            self.hostname = hostname
            self.node = node
            self.zone = zone
            self.target = target
        }
    }

    package struct Port: Sendable, Equatable {
        /// Of the service's port; nil for the nameless one.
        package var name: String?
        package var port: UInt16
        package var transport: ServiceSpec.Transport

        package init(name: String?, port: UInt16, transport: ServiceSpec.Transport = .tcp) {
            self.name = name
            self.port = port
            self.transport = transport
        }
    }

    package init(service: String, endpoints: [Endpoint], ports: [Port]) {
        self.service = service
        self.endpoints = endpoints
        self.ports = ports
    }
}
