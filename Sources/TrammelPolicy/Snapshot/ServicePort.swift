package import TrammelConfig
import TrammelCore

/// One port of a service: what a captured connection to it is, where it goes by default, and the routes that
/// its requests are held against.
package final class ServicePort: Sendable {
    package let service: ServiceIdentity
    /// The port's name; nil in a service of one nameless port.
    package let portName: String?
    package let port: UInt16
    package let appProtocol: AppProtocol
    package let defaultCluster: Cluster
    /// Of the VirtualService that names this host most specifically; nil when none does.
    package let routes: RouteTable?
    /// The Service, at the line of this port.
    package let origin: ResourceReference

    package var host: String { service.host }
    package var name: String { service.name }
    package var namespace: String { service.namespace }

    init(
        service: ServiceIdentity, portName: String?, port: UInt16, appProtocol: AppProtocol, defaultCluster: Cluster,
        routes: RouteTable?, origin: ResourceReference
    ) {
        self.service = service
        self.portName = portName
        self.port = port
        self.appProtocol = appProtocol
        self.defaultCluster = defaultCluster
        self.routes = routes
        self.origin = origin
    }

    /// Valid for as long as this object.
    var plan: PortPlan {
        PortPlan(
            port: port, service: .passUnretained(service), defaultCluster: ClusterReference(defaultCluster),
            program: routes.flatMap { $0.routes.isEmpty ? nil : $0.program }, servicePort: .passUnretained(self))
    }
}
