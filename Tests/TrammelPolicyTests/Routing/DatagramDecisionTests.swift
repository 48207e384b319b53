import Testing
import TrammelConfig
import TrammelCore

@testable import TrammelPolicy

@Suite("Where datagrams go")
struct DatagramDecisionTests {
    private static let somewhere = SourceLocation(file: "mesh.yaml", line: 1)

    private static func service(
        _ clusterIP: ServiceSpec.ClusterIP, _ ports: [(port: UInt16, target: UInt16, transport: ServiceSpec.Transport)]
    ) -> Resource.Spec {
        .service(
            ServiceSpec(
                selector: ["app": "dns"],
                ports: ports.map {
                    ServiceSpec.Port(
                        name: "\($0.transport)-\($0.port)", port: $0.port, targetPort: $0.target,
                        transport: $0.transport,
                        appProtocol: $0.transport == .udp ? .udp : .tcp, location: somewhere)
                },
                clusterIP: clusterIP))
    }

    private static let vip = IPAddress(v4: 0xF0F0_0909)

    private func mesh(
        _ clusterIP: ServiceSpec.ClusterIP = .addresses([DatagramDecisionTests.vip]),
        _ change: (Fixture) -> Fixture = { $0 }
    ) -> Mesh {
        change(
            Fixture().workload("dns-v1", notListening: [5353]).workload("client-v1")
                .resource(
                    .service, "dns",
                    Self.service(clusterIP, [(53, 5353, .udp), (53, 5300, .tcp), (123, 123, .udp)]))
        ).mesh()
    }

    private func decide(_ mesh: Mesh, _ address: IPAddress, _ port: UInt16) throws -> DatagramDecision {
        decideDatagrams(
            mesh.snapshot, source: mesh.source("client-v1"),
            original: OriginalDestination(IPEndpoint(address, port)))
    }

    @Test("to the endpoints of the port for UDP, and not to those of its namesake for TCP")
    func toAnEndpoint() throws {
        let mesh = mesh()
        guard case .forward(let cluster) = try decide(mesh, Self.vip, 53).verdict else {
            Issue.record("not forwarded")
            return
        }
        #expect(cluster.name == "outbound|53||dns.default.svc.cluster.local")
        #expect(cluster.endpoints.map(\.address.port) == [5353])
        // That nobody listens there over TCP says nothing.
        #expect(cluster.notReady.isEmpty)
        let tcp = mesh.snapshot.servicePorts.first { $0.port == 53 }?.defaultCluster
        #expect(tcp?.endpoints.map(\.address.port) == [5300])
        #expect(tcp?.slot != cluster.slot)
        #expect(try decide(mesh, Self.vip, 123).service?.host == "dns.default.svc.cluster.local")
    }

    @Test("where it was going, where no port for UDP is")
    func elsewhere() throws {
        let mesh = mesh()
        for (address, port) in [(Self.vip, 54), (IPAddress(v4: 0x0808_0808), 53)] as [(IPAddress, UInt16)] {
            guard case .passthrough(nil) = try decide(mesh, address, port).verdict else {
                Issue.record("\(address):\(port) is nobody's")
                continue
            }
        }
    }

    @Test("to a headless service's endpoint as asked")
    func headless() throws {
        let mesh = mesh(.headless)
        let own = try #require(mesh.snapshot.resolve(name: "dns", from: "default")?.addresses.first)
        guard case .passthrough(let cluster?) = try decide(mesh, own, 5353).verdict else {
            Issue.record("not as asked")
            return
        }
        #expect(cluster.isHeadless)
    }

    @Test("nowhere under REGISTRY_ONLY, unless a service stands for it")
    func registryOnly() throws {
        let mesh = mesh {
            $0.resource(.meshConfig, "mesh", .meshConfig(MeshConfigSpec(outboundTrafficPolicy: .registryOnly)))
        }
        guard case .refuse = try decide(mesh, IPAddress(v4: 0x0808_0808), 53).verdict else {
            Issue.record("not refused")
            return
        }
        guard case .forward = try decide(mesh, Self.vip, 53).verdict else {
            Issue.record("not forwarded")
            return
        }
    }
}
