import Testing
import TrammelConfig
import TrammelCore

@testable import TrammelPolicy

@Suite("What only some namespaces see")
struct VisibilityTests {
    private static let http: [(UInt16, AppProtocol)] = [(80, .http)]

    private func only(_ names: String...) -> ExportTo { .namespaces(Set(names)) }

    private func routes(
        _ name: String, in namespace: String, hosts: [String], to destination: String, _ exportTo: ExportTo
    ) -> (Fixture) -> Fixture {
        { fixture in
            fixture.resource(
                .virtualService, name, in: namespace,
                .virtualService(
                    VirtualServiceSpec(hosts: hosts, http: [.route(to: destination)], exportTo: exportTo)))
        }
    }

    @Test("a ServiceEntry is there for those namespaces that it is exported to, by address, by Host and by name")
    func entries() throws {
        let mesh = Fixture()
            .serviceEntry(
                "api.example.com", in: "shop", ports: Self.http, endpoints: [.at("192.0.2.1")], exportTo: only("shop")
            )
            .service("other", ports: [80])
            .workload("cart-v1", in: "shop").workload("productpage-v1").mesh()
        let name = try #require(mesh.snapshot.resolve(name: "api.example.com", from: "shop"))
        #expect(mesh.snapshot.resolve(name: "api.example.com", from: "default") == nil)
        let address = "\(name.addresses[0]):80"
        #expect(mesh.decide("GET /\nhost: x", to: address, from: "cart-v1").summary == "api.example.com")
        #expect(mesh.decide("GET /\nhost: x", to: address, from: "productpage-v1").summary == "passthrough")
        let elsewhere = "203.0.113.1:80"
        #expect(
            mesh.decide("GET /\nhost: api.example.com", to: elsewhere, from: "cart-v1").summary == "api.example.com")
        #expect(mesh.decide("GET /\nhost: api.example.com", to: elsewhere).summary == "passthrough")
        // Listed for those who look after the mesh.
        #expect(mesh.snapshot.servicePorts.map(\.host).contains("api.example.com"))
    }

    @Test("two namespaces may each have their own service of one host")
    func sameHost() {
        var fixture = Fixture().workload("cart-v1", in: "shop").workload("till-v1", in: "bank")
        for (namespace, address) in [("shop", "192.0.2.1"), ("bank", "192.0.2.2")] {
            fixture = fixture.serviceEntry(
                "api.example.com", in: namespace, ports: Self.http, endpoints: [.at(address)], exportTo: only(namespace)
            )
        }
        let mesh = fixture.mesh()
        func endpoint(_ source: String) -> String? {
            guard
                case .forward(let cluster) = mesh.decide(
                    "GET /\nhost: api.example.com", to: "203.0.113.1:80", from: source
                ).verdict
            else { return nil }
            return cluster.endpoints.first?.address.description
        }
        #expect(endpoint("cart-v1") == "192.0.2.1:80")
        #expect(endpoint("till-v1") == "192.0.2.2:80")
    }

    @Test("of two that everybody sees a caller gets its own namespace's, else the older")
    func rivals() {
        var fixture = Fixture().workload("cart-v1", in: "shop").workload("till-v1", in: "bank").workload(
            "productpage-v1")
        for (namespace, address) in [("shop", "192.0.2.1"), ("bank", "192.0.2.2")] {
            fixture = fixture.serviceEntry(
                "api.example.com", in: namespace, ports: Self.http, endpoints: [.at(address)])
        }
        let mesh = fixture.mesh()
        func endpoint(_ source: String) -> String? {
            let decision = mesh.decide("GET /\nhost: api.example.com", to: "203.0.113.1:80", from: source)
            guard case .forward(let cluster) = decision.verdict else { return nil }
            return cluster.endpoints.first?.address.description
        }
        #expect(endpoint("cart-v1") == "192.0.2.1:80")
        #expect(endpoint("till-v1") == "192.0.2.2:80")
        #expect(endpoint("productpage-v1") == "192.0.2.1:80")
    }

    @Test("a VirtualService goes before those that everybody sees, for its namespaces only")
    func virtualServices() {
        let fixture = Fixture().service("reviews", ports: [80]).versions("reviews", "v1", "v2")
            .workload("reviews-v1").workload("reviews-v2")
            .workload("cart-v1", in: "shop").workload("productpage-v1")
        let everybody = routes("reviews", in: "default", hosts: ["reviews"], to: "reviews/v1", .everywhere)(fixture)
        let mesh = routes(
            "own", in: "shop", hosts: ["reviews.default.svc.cluster.local"],
            to: "reviews.default.svc.cluster.local/v2", only("shop"))(everybody).mesh()
        #expect(mesh.decide("GET /\nhost: x", to: "reviews:80").summary == "reviews/v1")
        #expect(mesh.decide("GET /\nhost: x", to: "reviews:80", from: "cart-v1").summary == "reviews/v2")
    }

    @Test("a wildcard VirtualService of a namespace covers the services that it stands for there")
    func wildcards() {
        let fixture = Fixture().serviceEntry("a.example.com", ports: Self.http, endpoints: [.at("192.0.2.1")])
            .service("gate", in: "shop", ports: [80]).workload("gate-v1", in: "shop").workload("cart-v1", in: "shop")
            .workload("productpage-v1")
        let mesh = routes("own", in: "shop", hosts: ["*.example.com"], to: "gate", only("shop"))(fixture).mesh()
        #expect(mesh.decide("GET /\nhost: x", to: "a.example.com:80", from: "cart-v1").summary == "gate")
        #expect(mesh.decide("GET /\nhost: x", to: "a.example.com:80").summary == "a.example.com")
        #expect(
            mesh.decide("GET /\nhost: new.example.com", to: "203.0.113.1:80", from: "cart-v1").summary == "gate")
        #expect(mesh.decide("GET /\nhost: new.example.com", to: "203.0.113.1:80").summary == "passthrough")
    }

    @Test("a DestinationRule of the caller's namespace goes before the service's own, for those callers")
    func destinationRules() {
        let policy = { (balancer: LoadBalancer) in TrafficPolicy(settings: .init(loadBalancer: balancer)) }
        let mesh = Fixture().service("reviews", ports: [80]).workload("reviews-v1")
            .destinationRule("reviews", policy: policy(.random))
            .destinationRule("reviews.default.svc.cluster.local", in: "shop", policy: policy(.roundRobin))
            .workload("cart-v1", in: "shop").workload("productpage-v1").mesh()
        func balancer(_ source: String) -> LoadBalancer? {
            guard case .forward(let cluster) = mesh.decide("GET /\nhost: x", to: "reviews:80", from: source).verdict
            else {
                return nil
            }
            return cluster.policy
        }
        #expect(balancer("productpage-v1") == .random)
        #expect(balancer("cart-v1") == .roundRobin)
    }

    @Test("a route that everybody sees leads to what its caller sees")
    func destinations() {
        let fixture = Fixture().service("front", ports: [80])
            .serviceEntry(
                "api.example.com", in: "shop", ports: Self.http, endpoints: [.at("192.0.2.1")], exportTo: only("shop")
            )
            .workload("cart-v1", in: "shop").workload("productpage-v1")
        let mesh = routes("front", in: "default", hosts: ["front"], to: "api.example.com", .everywhere)(fixture).mesh()
        #expect(mesh.decide("GET /\nhost: x", to: "front:80", from: "cart-v1").summary == "api.example.com")
        #expect(mesh.decide("GET /\nhost: x", to: "front:80").summary == "503 NC")
    }
}
