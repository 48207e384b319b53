import NIOCore
import NIOEmbedded
import TrammelConfig
import TrammelCore
import TrammelPolicy
import TrammelTelemetry

@testable import TrammelProxy

/// What one loop owns, on a loop that the test turns by hand, and connections that go nowhere.
struct LoopFixture {
    let loop: LoopContext
    let embedded: EmbeddedEventLoop

    private static let somewhere = SourceLocation(file: "mesh.yaml", line: 1)
    static let web = OriginalDestination(IPEndpoint(IPAddress(v4: 0xF0F0_0001), 80))

    /// - Parameter routes: of the service `web`, which has one endpoint and is at `LoopFixture.web`.
    init(_ routes: [HTTPRoute] = [], settings: ProxySettings = ProxySettings()) {
        let service = ServiceSpec(
            selector: ["app": "web"],
            ports: [.init(name: nil, port: 80, targetPort: 8080, appProtocol: .http, location: Self.somewhere)],
            clusterIP: .addresses([Self.web.endpoint.address]))
        var resources = [Self.resource(.service, .service(service))]
        if !routes.isEmpty {
            resources.append(
                Self.resource(.virtualService, .virtualService(VirtualServiceSpec(hosts: ["web"], http: routes))))
        }
        let endpoint = WorkloadFacts(
            id: WorkloadID(rawValue: 7),
            identity: WorkloadIdentity(
                name: WorkloadName(namespace: "default", name: "web-0"), labels: ["app": "web"]),
            addresses: [IPAddress(v4: 0x0A01_0001)])
        let snapshot = SnapshotCompiler()
            .compile(resources: resources, workloads: [endpoint], version: 1).snapshot
        embedded = EmbeddedEventLoop()
        loop = LoopContext(
            eventLoop: embedded, index: 0, settings: settings, sockets: NoSockets(), snapshot: snapshot,
            telemetry: Telemetry(labels: LabelRegistry(), accessLog: nil), probers: NoProbes(),
            onConnectRefused: { _ in })
    }

    private static func resource(_ kind: ResourceKind, _ spec: Resource.Spec) -> Resource {
        Resource(key: ResourceKey(kind: kind, namespace: "default", name: "web"), location: somewhere, spec: spec)
    }

    /// The client's side of a connection to `destination`.
    func handler(to destination: OriginalDestination = LoopFixture.web) -> HTTP1ServerHandler {
        let identity = WorkloadIdentity(name: WorkloadName(namespace: "default", name: "client"))
        let source = Source(id: WorkloadID(rawValue: 1), identity: identity)
        let workload = AttachedWorkload(source: source, addresses: [], peer: .unknown)
        let connection = ProxyConnection(
            id: 1, workload: workload, share: loop.share(of: workload), direction: .outbound, mode: .redirect,
            client: ClientAddress(IPEndpoint(.loopbackV4, 40_000)), destination: destination)
        return HTTP1ServerHandler(
            loop: loop, connection: connection,
            route: HTTPRouteContext(direction: .outbound, source: source, original: destination))
    }
}

/// For tests in which nothing is dialled.
private struct NoSockets: SocketFactory {
    func preparation(for plan: UpstreamSocketPlan, attempt: Int) -> SocketPreparation? { nil }

    func withNetworkNamespace<R>(of workload: WorkloadID, _ body: () throws -> R) throws -> R {
        throw TrammelError(.notFound, code: "no-sockets", "there are no sockets in this test")
    }
}
