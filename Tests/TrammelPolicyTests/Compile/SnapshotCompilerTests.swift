import Testing
import TrammelConfig
import TrammelCore
import TrammelTestSupport

@testable import TrammelPolicy

@Suite("Compiling snapshots")
struct SnapshotCompilerTests {
    @Test("nothing at all makes a snapshot that lets everything through")
    func empty() {
        let mesh = Fixture().mesh()
        #expect(mesh.warnings.isEmpty)
        #expect(mesh.decide("GET /\nhost: a", to: "192.0.2.1:80").summary == "passthrough")
        #expect(RuntimeSnapshot.empty.resolve(name: "a", from: "default") == nil)
    }

    @Test("the order of services and workloads changes nothing")
    func order() {
        let fixture = Fixture.bookinfo
            .virtualService("reviews", .route([], to: [.to("reviews/v1", weight: 1), .to("reviews/v2", weight: 1)]))
        let compiler = SnapshotCompiler()
        let one = compiler.compile(
            resources: fixture.resources, workloads: fixture.workloads, version: 1, vips: fixture.vips(of:)
        ).snapshot
        let other = compiler.compile(
            resources: fixture.resources.reversed(), workloads: fixture.workloads.reversed(), version: 2,
            vips: fixture.vips(of:)
        ).snapshot
        #expect(one.clusters.map(\.name) == other.clusters.map(\.name))
        #expect(one.clusters.map(\.slot) == other.clusters.map(\.slot))
        #expect(one.clusters.map(\.endpointSlots) == other.clusters.map(\.endpointSlots))
        #expect(one.version == 1 && other.version == 2)
    }

    @Test("slots stay while what they stand for stays, and are not given to another")
    func slots() throws {
        let compiler = SnapshotCompiler()
        let before = Fixture.bookinfo
        let first = before.mesh(compiler: compiler)
        let name = "outbound|9080|v2|reviews.default.svc.cluster.local"
        let old = try #require(first.cluster(name))

        // v1 goes, v4 comes, under the same address; a service comes before all others.
        let after = Fixture()
            .service("aaa").service("reviews").versions("reviews", "v1", "v2", "v3")
            .workload("productpage-v1").workload("x-v1").workload("reviews-v2").workload("reviews-v3")
            .workload("reviews-v4", addresses: ["10.1.0.2"])
        let second = after.mesh(compiler: compiler, version: 2)
        let new = try #require(second.cluster(name))
        #expect(new.slot == old.slot)
        #expect(new.endpoints[0] === old.endpoints[0])
        let oldSlots = Set(first.snapshot.clusters.flatMap(\.endpointSlots))
        let v4 = try #require(
            second.snapshot.clusters.flatMap(\.endpoints).first { $0.identity?.name.name == "reviews-v4" })
        #expect(!oldSlots.contains(v4.slot))

        // v1 comes back as another attachment: another endpoint.
        let third = Fixture.bookinfo.mesh(compiler: compiler, version: 3)
        #expect(third.cluster(name)?.slot == old.slot)
        let slots = third.snapshot.clusters.map(\.slot)
        #expect(Set(slots).count == slots.count)
    }

    @Test("a port that is not in LISTEN is not picked, and is when it comes up")
    func readiness() throws {
        let compiler = SnapshotCompiler()
        let service = Fixture().service("a", ports: [80], target: 8080).workload("a-v2")
        let down = service.workload("a-v1", notListening: [8080])
        let cluster = try #require(down.mesh(compiler: compiler).snapshot.clusters.first)
        #expect(cluster.endpoints.map(\.identity?.name.name) == ["a-v2"])
        #expect(cluster.notReady.map(\.identity?.name.name) == ["a-v1"])
        #expect(!cluster.isNoneReady)
        #expect(cluster.selectedCount == 2)
        let up = service.workload("a-v1", notListening: [80])
        let ready = try #require(up.mesh(compiler: compiler, version: 2).snapshot.clusters.first)
        #expect(ready.notReady.isEmpty)
        #expect(ready.endpoints.contains { $0 === cluster.notReady.first })
    }

    @Test("where no endpoint is ready each may be tried, since readiness is known a moment late")
    func noneReady() throws {
        let mesh = Fixture().service("a", ports: [80], target: 8080).workload("a-v1", notListening: [8080]).mesh()
        let cluster = try #require(mesh.snapshot.clusters.first)
        #expect(cluster.isNoneReady)
        #expect(cluster.endpoints.count == 1)
        #expect(cluster.selectedCount == 1)
        let story = mesh.explainTCP(to: "a:80")
        #expect(story.description.contains("nothing listens at any endpoint, so each may be tried"))
    }

    @Test("a port that listens on loopback only is dialled there, under the endpoint's slot")
    func listeningElsewhere() throws {
        let compiler = SnapshotCompiler()
        let service = Fixture().service("a", ports: [80], target: 8080)
        let usual = try #require(
            service.workload("a-v1").mesh(compiler: compiler).snapshot.clusters.first?.endpoints.first)
        let local = try #require(
            service.workload("a-v1", listeningElsewhere: [8080: .loopbackV4])
                .mesh(compiler: compiler, version: 2).snapshot.clusters.first?.endpoints.first)
        #expect(local.address == IPEndpoint(.loopbackV4, 8080))
        #expect(local.addresses == usual.addresses)
        #expect(local.slot == usual.slot)
        let again = try #require(
            service.workload("a-v1").mesh(compiler: compiler, version: 3).snapshot.clusters.first?.endpoints.first)
        #expect(again === usual)
    }

    @Test("a client of either family is sent to an address of its own where the application listens at both")
    func families() throws {
        let compiler = SnapshotCompiler()
        let six = try #require(IPAddress("fd00::9"))
        let service = Fixture().service("a", ports: [80], target: 8080)
        func endpoint(_ version: UInt64, _ other: [UInt16: IPAddress]) throws -> Endpoint {
            try #require(
                service.workload("a-v1", addresses: ["10.1.0.9", "fd00::9"], listeningInOtherFamily: other)
                    .mesh(compiler: compiler, version: version).snapshot.clusters.first?.endpoints.first)
        }
        let one = try endpoint(1, [:])
        #expect(one.address(for: .v6) == one.address)
        let both = try endpoint(2, [8080: six])
        #expect(both.address(for: .v6) == IPEndpoint(six, 8080))
        #expect(both.address(for: .v4) == both.address)
        #expect(both.address == one.address)
        #expect(both.slot == one.slot)
    }

    @Test("an endpoint is reached at its first address, or by loopback where it has none")
    func addresses() throws {
        let mesh = Fixture().service("a", ports: [80], target: 8080)
            .workload("a-v1", addresses: ["10.1.0.9", "fd00::9"]).workload("a-v2", addresses: []).mesh()
        let cluster = try #require(mesh.snapshot.clusters.first)
        #expect(cluster.endpoints.map(\.address.description) == ["10.1.0.9:8080", "127.0.0.1:8080"])
        #expect(cluster.endpoints[0].addresses.count == 2)
    }

    @Test("a service without a selector has no endpoints; UDP ports are names only")
    func unusual() {
        let mesh = Fixture().service("a", selector: [:]).workload("a-v1").mesh()
        #expect(mesh.snapshot.clusters[0].endpoints.isEmpty)

        let location = SourceLocation(file: "mesh.yaml", line: 1)
        let port = ServiceSpec.Port(
            name: "dns", port: 53, targetPort: 53, transport: .udp, appProtocol: .udp, location: location)
        let resource = Resource(
            key: ResourceKey(kind: .service, namespace: "default", name: "dns"), location: location,
            spec: .service(ServiceSpec(selector: [:], ports: [port], clusterIP: .addresses([IPAddress(v4: 7)]))))
        let (snapshot, _) = SnapshotCompiler().compile(resources: [resource], workloads: [], version: 1)
        #expect(snapshot.servicePorts.isEmpty)
        #expect(snapshot.resolve(name: "dns", from: "default")?.ports.map(\.port) == [53])
    }

    @Test(
        "a reference to nothing names the nearest name",
        arguments: [
            ("reveiws", #"host "reveiws" is no service in namespace default (did you mean "reviews"?). The route"#),
            ("reveiws.default.svc.cluster.local", #"(did you mean "reviews.default.svc.cluster.local"?)."#),
            ("revews.default", #"(did you mean "reviews.default"?)."#),
            ("payments", #"host "payments" is no service in namespace default. The route"#),
            ("reviews/v22", #"has no subset "v22" (did you mean "v2"?); it has "v1", "v2", "v3""#),
        ])
    func danglingRoute(_ destination: String, _ message: String) {
        let mesh = Fixture.bookinfo.virtualService("reviews", .route(to: destination)).mesh()
        #expect(mesh.warnings.map(\.code) == [.danglingReference])
        #expect(mesh.warnings.first?.location == SourceLocation(file: "mesh.yaml", line: 999))
        #expect(mesh.warnings.first?.message.contains(message) == true, "\(mesh.warnings)")
        #expect(mesh.decide("GET /\nhost: reviews").summary == "503 NC")
    }

    @Test("so does a port that the service lacks, and a DestinationRule for no service")
    func otherDangling() {
        let port = Fixture.bookinfo
            .virtualService("reviews", .route([], to: [.to("reviews", port: 81)])).mesh()
        #expect(port.warnings.first?.message.contains("no TCP port 81; it has 9080") == true)
        let rule = Fixture.bookinfo.versions("rating", "v1").mesh()
        #expect(rule.warnings.map(\.code) == [.danglingReference])
        #expect(rule.warnings.first?.message.contains("applies to nothing until it exists") == true)
    }

    @Test("when what was missing comes, the route works")
    func repaired() {
        let compiler = SnapshotCompiler()
        let route = HTTPRoute.route(to: "ratings")
        let before = Fixture.bookinfo.virtualService("reviews", route).mesh(compiler: compiler)
        #expect(before.decide("GET /\nhost: reviews").summary == "503 NC")
        let after = Fixture.bookinfo.virtualService("reviews", route).service("ratings").mesh(compiler: compiler)
        #expect(after.decide("GET /\nhost: reviews").summary == "ratings")
    }

    @Test("two owners of one address: the first keeps it, the second is told who has it")
    func addressConflict() {
        let address = ServiceSpec.ClusterIP.addresses([IPAddress(v4: 0xF0F0_0063)])
        let mesh = Fixture().service("b", clusterIP: address).service("a", clusterIP: address).mesh()
        #expect(mesh.destination("240.240.0.99:9080").servicePort?.name == "a")
        #expect(mesh.warnings.map(\.resource.name) == ["b"])
        #expect(
            mesh.warnings.first?.message.contains("240.240.0.99:9080 is a.default.svc.cluster.local's already") == true)
    }

    @Test("two VirtualServices for one host: the one of the host's own namespace, else the first")
    func hostConflict() {
        let mesh = Fixture().service("a").service("b").service("c")
            .virtualService("x", in: "aaa", hosts: ["a.default.svc.cluster.local"], .respond(418))
            .virtualService("x", hosts: ["a"], .route(to: "b"))
            .virtualService("y", hosts: ["a"], .route(to: "c"))
            .mesh()
        #expect(mesh.decide("GET /\nhost: a", to: "a:9080").summary == "b")
        #expect(mesh.warnings.map(\.code) == [.conflict, .conflict])
        #expect(mesh.warnings.map(\.resource.name).sorted() == ["x", "y"])
    }

    @Test("a host that is neither a name nor a wildcard stands for nothing")
    func strangeWildcard() {
        let mesh = Fixture.bookinfo.virtualService("x", hosts: ["*views"], .respond(418)).mesh()
        #expect(mesh.warnings.map(\.code) == [.withoutEffect])
        #expect(mesh.decide("GET /\nhost: reviews").summary == "reviews")
    }

    @Test("what plans are made of is plain bits, as the way their memory is given back demands")
    func plainBits() {
        #expect(_isPOD(RouteProgram.self))
        #expect(_isPOD(RouteProgram.Route.self))
        #expect(_isPOD(RouteProgram.Alternative.self))
        #expect(_isPOD(RouteProgram.Condition.self))
        #expect(_isPOD(RouteProgram.Destination.self))
        #expect(_isPOD(RouteProgram.Target.self))
        #expect(_isPOD(PortPlan.self))
        #expect(_isPOD(HostIndex.Entry.self))
        #expect(_isPOD(Call.self))
        #expect(_isPOD(HTTPDecision.self))
    }
}

@Suite("Compiling after a change")
struct RecompilingTests {
    private let fixture = Fixture()
        .service("a").service("b").service("c", in: "shop")
        .workload("a-v1").workload("b-v1").workload("c-v1", in: "shop")
        .virtualService("a", .route(to: "a")).virtualService("b", .route(to: "a"))
        .virtualService("c", in: "shop", .route(to: "c"))

    private func port(_ mesh: Mesh, _ name: String) -> ServicePort? {
        mesh.snapshot.servicePorts.first { $0.name == name }
    }

    @Test("what nothing has touched stays the very same")
    func nothing() {
        let compiler = SnapshotCompiler()
        let before = fixture.mesh(compiler: compiler)
        let after = fixture.mesh(compiler: compiler, version: 2)
        #expect(after.snapshot.version == 2)
        #expect(zip(before.snapshot.servicePorts, after.snapshot.servicePorts).allSatisfy { $0 === $1 })
        #expect(zip(before.snapshot.clusters, after.snapshot.clusters).allSatisfy { $0 === $1 })
    }

    @Test("a new endpoint makes its service anew, and the routes that lead to it")
    func endpoint() throws {
        let compiler = SnapshotCompiler()
        let before = fixture.mesh(compiler: compiler)
        let after = fixture.workload("a-v2").mesh(compiler: compiler, version: 2)
        #expect(port(after, "a")?.defaultCluster.endpoints.count == 2)
        #expect(port(before, "a")?.defaultCluster.endpoints.count == 1)
        #expect(port(after, "b")?.defaultCluster === port(before, "b")?.defaultCluster)
        #expect(port(after, "b")?.routes !== port(before, "b")?.routes)
        #expect(port(after, "c") === port(before, "c"))
        let decision = after.decide("GET /\nhost: b", to: "b:9080")
        #expect(decision.cluster === port(after, "a")?.defaultCluster)
        #expect(before.decide("GET /\nhost: b", to: "b:9080").cluster === port(before, "a")?.defaultCluster)
    }

    @Test("a workload that goes, and one whose labels change, leave their services; the slot stays with the address")
    func labels() throws {
        let compiler = SnapshotCompiler()
        let before = fixture.mesh(compiler: compiler)
        let slot = try #require(port(before, "a")?.defaultCluster.endpoints.first?.slot)

        let relabelled = Fixture()
            .service("a").service("b")
            .workload("a-v1", labels: ["app": "b"]).mesh(compiler: compiler, version: 2)
        #expect(port(relabelled, "a")?.defaultCluster.endpoints.isEmpty == true)
        #expect(port(relabelled, "b")?.defaultCluster.endpoints.map(\.slot) == [slot])
        #expect(port(relabelled, "b")?.defaultCluster.endpoints.first?.labels == ["app": "b"])

        let gone = Fixture().service("a").service("b").mesh(compiler: compiler, version: 3)
        #expect(port(gone, "b")?.defaultCluster.endpoints.isEmpty == true)
    }

    @Test("a changed DestinationRule, Service, VirtualService or address takes hold")
    func resources() {
        let compiler = SnapshotCompiler()
        _ = fixture.mesh(compiler: compiler)
        let random = TrafficPolicy(settings: .init(loadBalancer: .random))
        let ruled = fixture.destinationRule("a", policy: random).mesh(compiler: compiler, version: 2)
        #expect(port(ruled, "a")?.defaultCluster.policy == .random)
        #expect(ruled.decide("GET /\nhost: b", to: "b:9080").cluster?.policy == .random)
        let unruled = fixture.mesh(compiler: compiler, version: 3)
        #expect(port(unruled, "a")?.defaultCluster.policy == .leastRequest)

        let rerouted = Fixture().service("a").service("b").virtualService("b", .respond(418))
            .mesh(compiler: compiler, version: 4)
        #expect(rerouted.decide("GET /\nhost: b", to: "b:9080").summary == "418 -")
        let retargeted = Fixture().service("a", target: 1).service("b").workload("a-v1")
            .mesh(compiler: compiler, version: 5)
        #expect(port(retargeted, "a")?.defaultCluster.endpoints.map(\.address.port) == [1])
        let moved = Fixture().service("b").service("a").mesh(compiler: compiler, version: 6)
        #expect(moved.destination("240.240.0.1:9080").servicePort?.name == "b")
    }

    @Test("warnings are told each time, not only the first")
    func warnings() {
        let compiler = SnapshotCompiler()
        let fixture = Fixture.bookinfo.virtualService("reviews", .route(to: "nowhere"))
            .destinationRule("reviews", named: "z", policy: TrafficPolicy(settings: .init(loadBalancer: .random)))
        let first = fixture.mesh(compiler: compiler).warnings
        #expect(first.count == 2)
        #expect(fixture.mesh(compiler: compiler, version: 2).warnings == first)
    }

    @Test("whatever changes came before, the outcome is that of compiling from nothing")
    func sameAsFresh() {
        let compiler = SnapshotCompiler()
        var random = SplitMix(seed: 31)
        func describe(_ mesh: Mesh) -> [String] {
            mesh.snapshot.clusters.map { cluster in
                "\(cluster.name) \(cluster.policy) \(cluster.endpoints) \(cluster.notReady)"
            } + mesh.snapshot.servicePorts.map { "\($0.host) \($0.routes?.origin.description ?? "-")" }
                + mesh.warnings.map(\.description)
        }
        for version in 0..<60 {
            var fixture = Fixture()
            for name in ["a", "b", "c", "d"] where Bool.random(using: &random) {
                fixture = fixture.service(name, target: Bool.random(using: &random) ? 1 : 2)
            }
            for name in ["a-v1", "a-v2", "b-v1", "c-v1", "d-v2"] {
                // A name left out is still counted, so that ids and addresses stay with their names.
                let ready: Set<UInt16> = Bool.random(using: &random) ? [] : [1]
                let labels = Bool.random(using: &random) ? nil : ["app": "b"]
                fixture = fixture.workload(name, labels: labels, notListening: ready)
            }
            if Bool.random(using: &random) { fixture = fixture.versions("a", "v1", "v2") }
            if Bool.random(using: &random) { fixture = fixture.virtualService("a", .route(to: "b")) }
            if Bool.random(using: &random) { fixture = fixture.virtualService("b", .route(to: "a/v2")) }
            let incremental = fixture.mesh(compiler: compiler, version: UInt64(version))
            #expect(describe(incremental) == describe(fixture.mesh()))
        }
    }
}
