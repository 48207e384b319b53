import Testing
import TrammelConfig
import TrammelCore

@testable import TrammelPolicy

@Suite("Routes for connections that are carried as bytes")
struct StreamRouteTests {
    private static let somewhere = SourceLocation(file: "mesh.yaml", line: 1)

    private func route(to destination: String, _ changes: ((inout StreamMatch) -> Void)...) -> StreamRoute {
        StreamRoute(
            match: changes.map { change in
                var match = StreamMatch(location: Self.somewhere)
                change(&match)
                return match
            }, destinations: [.to(destination)], location: Self.somewhere)
    }

    private func mesh(tls: [StreamRoute] = [], tcp: [StreamRoute] = [], _ appProtocol: AppProtocol = .tcp) -> Mesh {
        Fixture().service("db", ports: [5432, 5433], appProtocol: appProtocol).versions("db", "v1", "v2")
            .workload("db-v1").workload("db-v2").workload("productpage-v1").workload("batch-v1")
            .resource(.virtualService, "db", .virtualService(VirtualServiceSpec(hosts: ["db"], tls: tls, tcp: tcp)))
            .mesh()
    }

    private func goes(_ decision: TCPDecision) -> String {
        switch decision.verdict {
        case .forward(let cluster): cluster.subset.map { "\(cluster.serviceName)/\($0)" } ?? cluster.serviceName
        case .passthrough: "passthrough"
        case .awaitServerName: "awaits"
        case .noCluster: "NC"
        case .refuse: "refused"
        }
    }

    @Test("by port, by caller, by subnet; the first that matches decides, and none means the service itself")
    func tcp() throws {
        let block = try #require(CIDR("240.240.0.0/24"))
        let mesh = mesh(tcp: [
            route(to: "db/v2", { $0.port = 5433 }, { $0.sourceLabels = ["app": "batch"] }),
            route(
                to: "db/v1",
                {
                    $0.destinationSubnets = [block]; $0.sourceNamespace = "default"
                }),
        ])
        #expect(goes(mesh.decideTCP(to: "db:5433")) == "db/v2")
        #expect(goes(mesh.decideTCP(to: "db:5432", from: "batch-v1")) == "db/v2")
        #expect(goes(mesh.decideTCP(to: "db:5432")) == "db/v1")
        #expect(mesh.decideTCP(to: "db:5433").route?.name == "tcp #1")
        let none = self.mesh(tcp: [route(to: "db/v2", { $0.port = 1 })])
        #expect(goes(none.decideTCP(to: "db:5432")) == "db")
        let bound = self.mesh(tcp: [route(to: "db/v2", { $0.gateways = ["edge"] })])
        #expect(goes(bound.decideTCP(to: "db:5432")) == "db")
    }

    @Test("weights share connections in proportion")
    func weights() {
        let mesh = mesh(tcp: [
            StreamRoute(
                destinations: [.to("db/v1", weight: 1), .to("db/v2", weight: 3)], location: Self.somewhere)
        ])
        let counts = Dictionary(
            grouping: (0..<1000).map { goes(mesh.decideTCP(to: "db:5432", entropy: UInt64.max / 1000 * $0)) },
            by: \.self
        ).mapValues(\.count)
        #expect((249...251).contains(counts["db/v1"] ?? 0))
        #expect((749...751).contains(counts["db/v2"] ?? 0))
    }

    @Test("a destination that does not exist is NC, and only that route")
    func dangling() {
        let mesh = mesh(tcp: [route(to: "db/v9", { $0.port = 5432 }), route(to: "db/v1")])
        #expect(goes(mesh.decideTCP(to: "db:5432")) == "NC")
        #expect(goes(mesh.decideTCP(to: "db:5433")) == "db/v1")
        #expect(mesh.explainTCP(to: "db:5432").description.contains(#"has no subset "v9""#))
    }

    @Test("tls: the name that the client asks for, exact or by wildcard, is waited for where it may decide")
    func tls() {
        let mesh = mesh(
            tls: [
                route(
                    to: "db/v1",
                    {
                        $0.sniHosts = ["a.example.com"]; $0.port = 5432
                    }),
                route(
                    to: "db/v2",
                    {
                        $0.sniHosts = ["*.example.com"]; $0.port = 5432
                    }),
            ], .tls)
        #expect(goes(mesh.decideTCP(to: "db:5432", serverName: .unheard)) == "awaits")
        #expect(goes(mesh.decideTCP(to: "db:5433", serverName: .unheard)) == "db")
        #expect(goes(mesh.decideTCP(to: "db:5432", serverName: .name("a.example.com"))) == "db/v1")
        #expect(goes(mesh.decideTCP(to: "db:5432", serverName: .name("b.example.com"))) == "db/v2")
        #expect(goes(mesh.decideTCP(to: "db:5432", serverName: .name("example.com"))) == "db")
        #expect(goes(mesh.decideTCP(to: "db:5432", serverName: .absent)) == "db")
    }

    @Test("tls routes for hosts of the outside lead elsewhere, by the server name alone")
    func egress() {
        let mesh = Fixture().service("proxy", ports: [443], appProtocol: .tls).workload("proxy-v1")
            .resource(
                .virtualService, "out",
                .virtualService(
                    VirtualServiceSpec(
                        hosts: ["*.example.com"],
                        tls: [
                            route(
                                to: "proxy",
                                {
                                    $0.sniHosts = ["*.example.com"]; $0.port = 443
                                })
                        ]))
            ).mesh()
        #expect(goes(mesh.decideTCP(to: "203.0.113.9:443", serverName: .unheard)) == "awaits")
        #expect(goes(mesh.decideTCP(to: "203.0.113.9:443", serverName: .name("x.example.com"))) == "proxy")
        #expect(goes(mesh.decideTCP(to: "203.0.113.9:443", serverName: .name("x.example.org"))) == "passthrough")
        #expect(goes(mesh.decideTCP(to: "203.0.113.9:8443", serverName: .unheard)) == "passthrough")
    }

    @Test("routes of one kind leave the other alone")
    func kinds() {
        let mesh = mesh(tcp: [route(to: "db/v2")], .http)
        #expect(mesh.decide("GET /\nhost: db", to: "db:5432").summary == "db")
    }

    @Test("the story tells of each route, what it lacked, and which lacked least")
    func story() {
        let mesh = mesh(tcp: [
            route(
                to: "db/v2",
                {
                    $0.port = 5433; $0.sourceLabels = ["app": "productpage"]
                }), route(to: "db/v1"),
        ])
        let told = mesh.explainTCP(to: "db:5432")
        #expect(
            told.steps.map(\.title) == [
                "address", "routes", "route tcp #1", "route tcp #2", "endpoints", "nearest miss",
            ])
        #expect(told.steps.last?.detail == "route tcp #1 lacks only: port 5433, the call's is 5432")
    }
}
