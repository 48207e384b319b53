import Testing
import TrammelConfig
import TrammelCore

@testable import TrammelPolicy

@Suite("Subsets and traffic policies")
struct DestinationRuleTests {
    private func policy(
        _ loadBalancer: LoadBalancer? = nil, connectTimeout: UInt64? = nil,
        ports: [UInt16: TrafficPolicy.Settings] = [:]
    ) -> TrafficPolicy {
        TrafficPolicy(
            settings: .init(loadBalancer: loadBalancer, connectTimeout: connectTimeout), portLevel: ports)
    }

    @Test("defaults: LEAST_REQUEST and ten seconds")
    func defaults() throws {
        let cluster = try #require(Fixture.bookinfo.mesh().cluster("outbound|9080||reviews.default.svc.cluster.local"))
        #expect(cluster.policy == .leastRequest)
        #expect(cluster.connectTimeout == 10_000_000_000)
    }

    @Test("a subset has the endpoints that bear all its labels, beside those of the selector")
    func labels() throws {
        let mesh = Fixture().service("a")
            .destinationRule(
                "a", subsets: [("x", ["version": "v2", "tier": "t"], TrafficPolicy()), ("all", [:], TrafficPolicy())]
            )
            .workload("a-1", labels: ["app": "a", "version": "v2", "tier": "t"])
            .workload("a-2", labels: ["app": "a", "version": "v2"])
            .workload("b-1", labels: ["app": "b", "version": "v2", "tier": "t"])
            .workload("a-1", in: "shop", labels: ["app": "a", "version": "v2", "tier": "t"])
            .mesh()
        let x = try #require(mesh.cluster("outbound|9080|x|a.default.svc.cluster.local"))
        #expect(x.endpoints.compactMap { $0.identity?.name.name } == ["a-1"])
        let all = try #require(mesh.cluster("outbound|9080|all|a.default.svc.cluster.local"))
        #expect(all.endpoints.compactMap { $0.identity?.name.name } == ["a-1", "a-2"])
    }

    @Test(
        "port-level settings replace; subsets inherit and override field by field; a subset's port-level replaces all",
        arguments: [
            ("80", nil, LoadBalancer.random, 1 as UInt64),
            ("81", nil, .roundRobin, 10_000_000_000),
            ("80", "plain", .random, 1),
            ("80", "over", .roundRobin, 1),
            ("81", "over", .roundRobin, 10_000_000_000),
            ("80", "ports", .leastRequest, 7),
            ("81", "ports", .roundRobin, 10_000_000_000),
        ] as [(String, String?, LoadBalancer, UInt64)])
    func merging(_ port: String, _ subset: String?, _ loadBalancer: LoadBalancer, _ connectTimeout: UInt64) throws {
        let mesh = Fixture().service("a", ports: [80, 81])
            .destinationRule(
                "a", policy: policy(.random, connectTimeout: 1, ports: [81: .init(loadBalancer: .roundRobin)]),
                subsets: [
                    ("plain", [:], TrafficPolicy()), ("over", [:], policy(.roundRobin)),
                    ("ports", [:], policy(ports: [80: .init(connectTimeout: 7)])),
                ]
            ).mesh()
        let cluster = try #require(mesh.cluster("outbound|\(port)|\(subset ?? "")|a.default.svc.cluster.local"))
        #expect(cluster.policy == loadBalancer)
        #expect(cluster.connectTimeout == connectTimeout)
    }

    @Test("the exact host goes before a wildcard, the service's own namespace before another")
    func precedence() throws {
        let mesh = Fixture().service("a").service("b").service("c", in: "shop")
            .destinationRule("*.local", named: "wide", policy: policy(.random))
            .destinationRule("a", policy: policy(.roundRobin))
            .destinationRule("c.shop.svc.cluster.local", in: "default", named: "far", policy: policy(.random))
            .destinationRule("c", in: "shop", policy: policy(.roundRobin))
            .mesh()
        func balancer(_ host: String) -> LoadBalancer? {
            mesh.cluster("outbound|9080||\(host).svc.cluster.local")?.policy
        }
        #expect(balancer("a.default") == .roundRobin)
        #expect(balancer("b.default") == .random)
        #expect(balancer("c.shop") == .roundRobin)
        #expect(mesh.warnings.map(\.resource.name) == ["far"])
    }

    @Test("several rules for a host give their subsets together, the first its policy")
    func merge() throws {
        let mesh = Fixture().service("a").workload("a-v1").workload("a-v2")
            .destinationRule(
                "a", named: "1", policy: policy(.random), subsets: [("v1", ["version": "v1"], TrafficPolicy())]
            )
            .destinationRule(
                "a", named: "2", policy: policy(.roundRobin),
                subsets: [("v2", ["version": "v2"], TrafficPolicy()), ("v1", [:], TrafficPolicy())]
            )
            .mesh()
        #expect(mesh.cluster("outbound|9080|v2|a.default.svc.cluster.local")?.policy == .random)
        #expect(mesh.cluster("outbound|9080|v1|a.default.svc.cluster.local")?.endpoints.count == 1)
        #expect(mesh.warnings.map(\.code) == [.conflict, .conflict])
    }
}
