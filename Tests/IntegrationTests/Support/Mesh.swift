import TrammelConfig
import TrammelCore
import TrammelPolicy

/// A mesh in a few lines, over servers on loopback: services with addresses of their own, and routes.
struct Mesh {
    private(set) var resources: [Resource] = []
    private(set) var workloads: [WorkloadFacts] = []
    private(set) var addresses: [String: IPEndpoint] = [:]

    private static let somewhere = SourceLocation(file: "mesh.yaml", line: 1)

    /// A service on port 80 whose endpoints listen on `port` of the loopback addresses given.
    func service(
        _ name: String, at port: UInt16, speaks appProtocol: AppProtocol = .http,
        on endpoints: [String] = ["127.0.0.1"], connectTimeout: UInt64? = nil
    ) -> Mesh {
        var mesh = self
        let number = UInt32(mesh.addresses.count + 1)
        let address = IPAddress(v4: 0xF0F0_0000 + number)
        mesh.addresses[name] = IPEndpoint(address, 80)
        mesh.add(
            .service, name,
            .service(
                ServiceSpec(
                    selector: ["app": name],
                    ports: [
                        .init(name: nil, port: 80, targetPort: port, appProtocol: appProtocol, location: Mesh.somewhere)
                    ], clusterIP: .addresses([address]))))
        mesh.add(
            .destinationRule, name,
            .destinationRule(
                DestinationRuleSpec(
                    host: name,
                    trafficPolicy: TrafficPolicy(
                        settings: .init(loadBalancer: .roundRobin, connectTimeout: connectTimeout)))))
        for (index, endpoint) in endpoints.enumerated() {
            mesh.workloads.append(
                WorkloadFacts(
                    id: WorkloadID(rawValue: number * 100 + UInt32(index)),
                    identity: WorkloadIdentity(
                        name: WorkloadName(namespace: "default", name: "\(name)-\(index)"), labels: ["app": name]),
                    addresses: [IPAddress(endpoint)!]))
        }
        return mesh
    }

    func routes(_ host: String, _ routes: HTTPRoute...) -> Mesh {
        var mesh = self
        mesh.add(.virtualService, host, .virtualService(VirtualServiceSpec(hosts: [host], http: routes)))
        return mesh
    }

    func registryOnly() -> Mesh {
        var mesh = self
        mesh.add(.meshConfig, "mesh", .meshConfig(MeshConfigSpec(outboundTrafficPolicy: .registryOnly)))
        return mesh
    }

    private mutating func add(_ kind: ResourceKind, _ name: String, _ spec: Resource.Spec) {
        resources.append(
            Resource(
                key: ResourceKey(kind: kind, namespace: "default", name: name), location: Mesh.somewhere, spec: spec))
    }

    func snapshot(version: UInt64 = 1) -> RuntimeSnapshot {
        SnapshotCompiler().compile(resources: resources, workloads: workloads, version: version).snapshot
    }
}

extension HTTPRoute {
    private static let somewhere = SourceLocation(file: "mesh.yaml", line: 10)

    static func route(
        _ uri: StringMatch? = nil, to host: String, rewrite: Rewrite? = nil,
        headers: HeaderOperations = HeaderOperations(), timeout: UInt64? = nil
    ) -> HTTPRoute {
        HTTPRoute(
            match: matches(uri),
            action: .route([
                WeightedDestination(destination: Destination(host: host, location: somewhere), weight: 0)
            ]),
            rewrite: rewrite, headers: headers, timeout: timeout, location: somewhere)
    }

    static func respond(_ status: UInt16, _ body: String = "") -> HTTPRoute { respond(nil, status, body) }

    static func respond(_ uri: StringMatch?, _ status: UInt16, _ body: String = "") -> HTTPRoute {
        HTTPRoute(
            match: matches(uri), action: .directResponse(status: status, body: Array(body.utf8)), location: somewhere)
    }

    static func redirect(_ uri: StringMatch? = nil, _ redirect: Redirect) -> HTTPRoute {
        HTTPRoute(match: matches(uri), action: .redirect(redirect), location: somewhere)
    }

    private static func matches(_ uri: StringMatch?) -> [HTTPMatch] {
        guard let uri else { return [] }
        var match = HTTPMatch(location: somewhere)
        match.uri = uri
        return [match]
    }
}
