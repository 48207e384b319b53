import Testing
import TrammelConfig
import TrammelCore

@testable import TrammelPolicy

@Suite("Headless services and PASSTHROUGH")
struct HeadlessTests {
    private let fixture = Fixture()
        .service("db", ports: [80], target: 8080, clusterIP: .headless)
        .service("front", ports: [80])
        .workload("db-v1").workload("db-v2").workload("db-v3", notListening: [8080])

    @Test("the name resolves to the ready endpoints' addresses")
    func name() {
        let resolved = fixture.mesh().snapshot.resolve(name: "db", from: "default")
        #expect(resolved?.isHeadless == true)
        #expect(resolved?.addresses.map(\.description) == ["10.1.0.1", "10.1.0.2"])
    }

    @Test("who asks for an endpoint by its own address gets that one", arguments: ["10.1.0.1:8080", "10.1.0.3:8080"])
    func ownAddress(_ address: String) throws {
        let mesh = fixture.mesh()
        let decision = mesh.decide("GET /\nhost: db", to: address)
        #expect(decision.kind == .passthrough)
        #expect(decision.service?.name == "db")
        #expect(mesh.destination("10.1.0.1:80").servicePort == nil)
        guard
            case .passthrough(let cluster?) =
                mesh.decideTCP(to: address).verdict
        else {
            Issue.record("expected a passthrough to the cluster")
            return
        }
        #expect(cluster.serviceName == "db")
    }

    @Test("routes hold for it, and a route from elsewhere is balanced")
    func routed() {
        let mesh = fixture.virtualService("db", .route(.uri(.prefix("/no")), to: "front"), .route(to: "db"))
            .virtualService("front", .route(to: "db")).mesh()
        #expect(mesh.decide("GET /\nhost: db", to: "10.1.0.1:8080").kind == .passthrough)
        #expect(mesh.decide("GET /no\nhost: db", to: "10.1.0.1:8080").summary == "front")
        #expect(mesh.decide("GET /\nhost: front", to: "front:80").summary == "db")
    }

    @Test("a subset that the asked endpoint is not of is balanced over the subset")
    func subset() {
        let mesh = fixture.versions("db", "v1", "v2").virtualService("db", .route(to: "db/v2")).mesh()
        #expect(mesh.decide("GET /\nhost: db", to: "10.1.0.1:8080").summary == "db/v2")
        #expect(mesh.decide("GET /\nhost: db", to: "10.1.0.2:8080").kind == .passthrough)
    }

    @Test("a virtual address goes before an endpoint's own")
    func virtualAddressFirst() {
        let mesh = fixture.service(
            "vip", ports: [8080], clusterIP: .addresses([IPAddress(v4: 0x0A01_0001)])
        ).mesh()
        #expect(mesh.destination("10.1.0.1:8080").servicePort?.name == "vip")
    }

    @Test("PASSTHROUGH keeps the address; behind an allocated one that is worth a warning")
    func passthrough() {
        let mesh = Fixture().service("a").workload("a-v1")
            .destinationRule("a", policy: TrafficPolicy(settings: .init(loadBalancer: .passthrough))).mesh()
        let decision = mesh.decide("GET /\nhost: a", to: "a:9080")
        #expect(decision.kind == .passthrough)
        #expect(decision.cluster?.serviceName == "a")
        #expect(mesh.warnings.map(\.code) == [.withoutEffect])
    }
}
