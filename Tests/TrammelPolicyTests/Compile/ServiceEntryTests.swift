import Testing
import TrammelConfig
import TrammelCore

@testable import TrammelPolicy

@Suite("ServiceEntries and their endpoints")
struct ServiceEntryTests {
    private static let http: [(UInt16, AppProtocol)] = [(80, .http)]

    private func addresses(_ cluster: Cluster?) -> [String]? { cluster?.endpoints.map(\.address.description) }

    @Test("STATIC: the endpoints that are written out, each at its own port of the name")
    func written() throws {
        let mesh = Fixture().serviceEntry(
            "api.example.com", ports: [(80, .http), (443, .tls)],
            endpoints: [.at("192.0.2.1"), .at("192.0.2.2", ports: ["port-80": 8080])]
        ).mesh()
        #expect(mesh.warnings.isEmpty)
        #expect(addresses(mesh.cluster("outbound|80||api.example.com")) == ["192.0.2.1:80", "192.0.2.2:8080"])
        #expect(addresses(mesh.cluster("outbound|443||api.example.com")) == ["192.0.2.1:443", "192.0.2.2:443"])
        // By its virtual address, which its name resolves to, and by the Host of a request to wherever.
        #expect(mesh.snapshot.resolve(name: "api.example.com", from: "shop")?.addresses.count == 1)
        #expect(mesh.decide("GET /\nhost: x", to: "api.example.com:80").summary == "api.example.com")
        #expect(mesh.decide("GET /\nhost: API.example.com", to: "203.0.113.9:80").summary == "api.example.com")
        #expect(mesh.decide("GET /\nhost: other.example.com", to: "203.0.113.9:80").summary == "passthrough")
    }

    @Test("each host of an entry is a service of its own")
    func hosts() {
        let mesh = Fixture().serviceEntry(
            "a.example.com", "b.example.com", ports: Self.http, endpoints: [.at("192.0.2.1")]
        ).mesh()
        let names = ["a", "b"].map { mesh.snapshot.resolve(name: "\($0).example.com", from: "default")?.addresses }
        #expect(names[0] != nil && names[1] != nil && names[0] != names[1])
        #expect(mesh.decide("GET /\nhost: x", to: "b.example.com:80").summary == "b.example.com")
    }

    @Test("DNS: every address that the name has, of the family that the network speaks")
    func resolved() {
        let fixture = Fixture().serviceEntry("api.example.com", ports: Self.http, .dns)
        #expect(addresses(fixture.mesh().cluster("outbound|80||api.example.com")) == [])
        let both = fixture.resolving("api.example.com", to: "192.0.2.2", "192.0.2.1", "2001:db8::1").mesh()
        #expect(addresses(both.cluster("outbound|80||api.example.com")) == ["192.0.2.1:80", "192.0.2.2:80"])
        let six = fixture.resolving("api.example.com", to: "2001:db8::1").mesh()
        #expect(addresses(six.cluster("outbound|80||api.example.com")) == ["[2001:db8::1]:80"])
    }

    @Test("DNS with endpoints: the addresses of their names, not of the host's")
    func resolvedEndpoints() {
        let mesh = Fixture().serviceEntry(
            "api.example.com", ports: Self.http, .dns, endpoints: [.at("us.example.net", ports: ["port-80": 8080])]
        ).resolving("api.example.com", to: "192.0.2.1").resolving("us.example.net", to: "192.0.2.7").mesh()
        #expect(addresses(mesh.cluster("outbound|80||api.example.com")) == ["192.0.2.7:8080"])
    }

    @Test("DNS_ROUND_ROBIN: the first address of the latest answer only")
    func roundRobin() {
        let mesh = Fixture().serviceEntry("api.example.com", ports: Self.http, .dnsRoundRobin)
            .resolving("api.example.com", to: "192.0.2.1", "192.0.2.2", first: "192.0.2.2").mesh()
        #expect(addresses(mesh.cluster("outbound|80||api.example.com")) == ["192.0.2.2:80"])
    }

    @Test("NONE: wherever the client was going, known and permitted; its own resolver answers for the name")
    func asked() {
        let mesh = Fixture().serviceEntry("*.example.com", ports: [(80, .http), (443, .tls)], .none).registryOnly()
            .mesh()
        #expect(mesh.snapshot.resolve(name: "a.example.com", from: "default") == nil)
        #expect(mesh.decide("GET /\nhost: a.example.com", to: "203.0.113.9:80").summary == "passthrough")
        #expect(mesh.decide("GET /\nhost: example.com", to: "203.0.113.9:80").summary == "502 -")
        let known = mesh.decideTCP(to: "203.0.113.9:443", serverName: .name("a.example.com"))
        guard case .passthrough(let cluster) = known.verdict else { return #expect(Bool(false), "\(known.verdict)") }
        #expect(cluster?.name == "outbound|443||*.example.com")
        for name in [ServerName.name("a.example.org"), .absent] {
            guard case .refuse = mesh.decideTCP(to: "203.0.113.9:443", serverName: name).verdict else {
                #expect(Bool(false), "\(name) was let through")
                continue
            }
        }
        guard case .awaitServerName = mesh.decideTCP(to: "203.0.113.9:443", serverName: .unheard).verdict else {
            return #expect(Bool(false), "nobody waited")
        }
    }

    @Test("addresses: single ones are the name's, blocks own what lies in them, the longest first")
    func blocks() {
        let mesh = Fixture()
            .serviceEntry("wide.example.com", ports: [(5432, .tcp)], addresses: ["10.0.0.0/8"], .none)
            .serviceEntry(
                "narrow.example.com", ports: [(5432, .tcp)], addresses: ["10.9.0.0/16", "10.77.0.1"],
                endpoints: [.at("192.0.2.1")]
            ).mesh()
        func service(_ address: String) -> String? { mesh.decideTCP(to: address).service?.host }
        #expect(service("10.1.2.3:5432") == "wide.example.com")
        #expect(service("10.9.2.3:5432") == "narrow.example.com")
        #expect(service("10.77.0.1:5432") == "narrow.example.com")
        #expect(service("10.9.2.3:5433") == nil)
        #expect(service("11.9.2.3:5432") == nil)
        #expect(mesh.snapshot.resolve(name: "narrow.example.com", from: "default")?.addresses.count == 1)
        #expect(mesh.snapshot.resolve(name: "wide.example.com", from: "default") == nil)
    }

    @Test("a selector finds workloads and WorkloadEntries of the namespace; a Service's does, too")
    func selected() {
        let mesh = Fixture()
            .serviceEntry("ratings.example.com", ports: Self.http, selector: ["app": "ratings"])
            .service("ratings", ports: [80], target: 9080)
            .workload("ratings-v1").workload("ratings-v2", in: "shop")
            .workloadEntry("vm", .at("192.0.2.5", ports: ["port-80": 8000], labels: ["app": "ratings"]))
            .workloadEntry("elsewhere", in: "shop", .at("192.0.2.6", labels: ["app": "ratings"]))
            .mesh()
        #expect(
            addresses(mesh.cluster("outbound|80||ratings.example.com")) == ["10.1.0.1:80", "192.0.2.5:8000"])
        #expect(
            addresses(mesh.cluster("outbound|80||ratings.default.svc.cluster.local"))
                == ["10.1.0.1:9080", "192.0.2.5:9080"])
    }

    @Test("a selected WorkloadEntry may be at a name, and moves with it")
    func namedEntries() {
        let compiler = SnapshotCompiler()
        let fixture = Fixture().serviceEntry("api.example.com", ports: Self.http, .dns, selector: ["app": "api"])
            .workloadEntry("vm", .at("vm.example.net", labels: ["app": "api"]))
        func addresses(_ fixture: Fixture, _ version: UInt64) -> [String]? {
            self.addresses(
                fixture.mesh(compiler: compiler, version: version).cluster("outbound|80||api.example.com"))
        }
        #expect(addresses(fixture, 1) == [])
        #expect(addresses(fixture.resolving("vm.example.net", to: "192.0.2.1"), 2) == ["192.0.2.1:80"])
        #expect(addresses(fixture.resolving("vm.example.net", to: "192.0.2.2"), 3) == ["192.0.2.2:80"])
    }

    @Test("subsets choose among entries by their labels, and weights share the load")
    func subsetsAndWeights() throws {
        let mesh = Fixture()
            .serviceEntry(
                "api.example.com", ports: Self.http,
                endpoints: [
                    .at("192.0.2.1", labels: ["version": "v1"], weight: 3),
                    .at("192.0.2.2", labels: ["version": "v2"]), .at("192.0.2.3", labels: ["version": "v1"]),
                ]
            )
            .destinationRule(
                "api.example.com", policy: TrafficPolicy(settings: .init(loadBalancer: .roundRobin)),
                subsets: [("v1", ["version": "v1"], TrafficPolicy())]
            ).mesh()
        let subset = try #require(mesh.cluster("outbound|80|v1|api.example.com"))
        #expect(addresses(subset) == ["192.0.2.1:80", "192.0.2.3:80"])
        let balancer = LoadBalancerState()
        var counts: [String: Int] = [:]
        for _ in 0..<400 {
            let endpoint = try #require(balancer.pick(subset, entropy: 1))
            counts[endpoint.address.description, default: 0] += 1
        }
        #expect(counts == ["192.0.2.1:80": 300, "192.0.2.3:80": 100])
    }

    @Test("an address that an attached workload bears is that workload")
    func attached() {
        let mesh = Fixture().serviceEntry(
            "api.example.com", ports: Self.http, endpoints: [.at("10.1.0.1"), .at("192.0.2.1")]
        ).workload("api-v1").mesh()
        let endpoints = mesh.cluster("outbound|80||api.example.com")?.endpoints ?? []
        #expect(endpoints.map { $0.identity?.name.name } == ["api-v1", nil])
    }

    @Test("EndpointSlices are the endpoints of a Service, those that are not ready only for want of others")
    func slices() throws {
        let service = Fixture().service("reviews", ports: [80], selector: [:])
        let mesh = service.resource(.endpointSlice, "reviews-b", slice: [("192.0.2.3", true)], port: 9081)
            .resource(.endpointSlice, "reviews-a", slice: [("192.0.2.1", true), ("192.0.2.2", false)], port: 9080)
            .mesh()
        let cluster = try #require(mesh.cluster("outbound|80||reviews.default.svc.cluster.local"))
        #expect(addresses(cluster) == ["192.0.2.1:9080", "192.0.2.3:9081"])
        #expect(cluster.notReady.map(\.address.description) == ["192.0.2.2:9080"])
    }
}

extension Fixture {
    /// An EndpointSlice of the service `reviews`.
    fileprivate func resource(
        _ kind: ResourceKind, _ name: String, slice addresses: [(String, Bool)], port: UInt16
    ) -> Fixture {
        resource(
            kind, name,
            .endpointSlice(
                EndpointSliceSpec(
                    service: "reviews",
                    endpoints: addresses.compactMap { address, isReady in
                        IPAddress(address).map { .init(addresses: [$0], isReady: isReady) }
                    }, ports: [.init(name: nil, port: port)])))
    }
}
