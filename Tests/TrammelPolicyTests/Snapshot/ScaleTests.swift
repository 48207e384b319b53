import Testing
import TrammelConfig
import TrammelCore
import TrammelTestSupport

@testable import TrammelPolicy

@Suite("Ten thousand services")
struct ScaleTests {
    private static func mesh(services: Int, endpointsEach: Int) -> Mesh {
        var fixture = Fixture()
        var resources: [Resource] = []
        for index in 0..<services {
            let name = "service-\(index)"
            let location = SourceLocation(file: "mesh.yaml", line: index + 1)
            let port = ServiceSpec.Port(
                name: nil, port: 80, targetPort: 8080, appProtocol: .http, location: location)
            let address = IPAddress(v4: 0xF0F0_0000 + UInt32(index))
            resources.append(
                Resource(
                    key: ResourceKey(kind: .service, namespace: "default", name: name), location: location,
                    spec: .service(
                        ServiceSpec(
                            selector: ["app": name], ports: [port], clusterIP: .addresses([address])))))
            for replica in 0..<endpointsEach {
                fixture = fixture.workload("w", labels: ["app": name], addresses: ["10.\(replica).0.1"])
            }
        }
        let (snapshot, warnings) = SnapshotCompiler().compile(
            resources: resources, workloads: fixture.workloads, version: 1)
        return Mesh(snapshot: snapshot, warnings: warnings, workloads: fixture.workloads)
    }

    @Test("a look-up by name reads as many slots in a mesh of 10,000 services as in one of ten")
    func flatNames() {
        func probes(_ services: Int) -> (mean: Double, worst: Int) {
            let table = HostTable((0..<services).map { ("service-\($0).default", UInt32($0)) })
            let counts = (0..<services).map { index in
                Array("service-\(index).default".utf8).withUnsafeBytes { table.probes(for: $0) }
            }
            return (Double(counts.reduce(0, +)) / Double(services), counts.max() ?? 0)
        }
        let large = probes(10_000)
        #expect(large.mean < 1.6)
        #expect(large.worst < 24)
        #expect(probes(100_000).mean < 1.6)
        // Names that differ in their last letters only, or in their first only, spread as well as any.
        let prefixed = HostTable((0..<10_000).map { (String($0) + ".a-long-namespace-name", UInt32($0)) })
        let counts = (0..<10_000).map { index in
            Array((String(index) + ".a-long-namespace-name").utf8).withUnsafeBytes { prefixed.probes(for: $0) }
        }
        #expect(Double(counts.reduce(0, +)) / 10_000 < 1.6)
    }

    @Test("every service of a large mesh is found by address and by name, with its own endpoints")
    func large() throws {
        let mesh = ScaleTests.mesh(services: 2_000, endpointsEach: 3)
        #expect(mesh.warnings.isEmpty)
        #expect(mesh.snapshot.servicePorts.count == 2_000)
        for index in stride(from: 0, to: 2_000, by: 97) {
            let original = OriginalDestination(IPEndpoint(IPAddress(v4: 0xF0F0_0000 + UInt32(index)), 80))
            let port = try #require(mesh.snapshot.servicePort(at: original, for: mesh.source()))
            #expect(port.name == "service-\(index)")
            #expect(port.defaultCluster.endpoints.count == 3)
            #expect(port.defaultCluster.endpoints.allSatisfy { $0.labels["app"] == port.name })
            let byHost = mesh.decide(RequestText("GET /\nhost: service-\(index)"), to: "192.0.2.1:80")
            #expect(byHost.service?.name == port.name)
        }
        #expect(Set(mesh.snapshot.clusters.flatMap(\.endpointSlots)).count == 6_000)
    }
}

@Suite("Addresses")
struct AddressTableTests {
    @Test("what was put in is found, and nothing that differs in family, port or address")
    func find() {
        var random = SplitMix(seed: 4)
        var entries: [IPEndpoint: Int] = [:]
        while entries.count < 4_000 {
            let address =
                Bool.random(using: &random)
                ? IPAddress(v4: UInt32.random(in: 0...300, using: &random))
                : IPAddress(v6: UInt64.random(in: 0...3, using: &random), UInt64.random(in: 0...300, using: &random))
            entries[IPEndpoint(address, UInt16.random(in: 0...9, using: &random))] = entries.count
        }
        let table = AddressTable(entries)
        for number in 0...300 as ClosedRange<UInt64> {
            for port in 0...9 as ClosedRange<UInt16> {
                for address in [IPAddress(v4: UInt32(number)), IPAddress(v6: 0, number), IPAddress(v6: 3, number)] {
                    let endpoint = IPEndpoint(address, port)
                    #expect(table[endpoint] == entries[endpoint])
                }
            }
        }
        #expect(AddressTable([:])[IPEndpoint(.anyV4, 0)] == nil)
    }

    @Test("a look-up reads as many slots among 10,000 services as among ten, allocated in a row or scattered")
    func flat() {
        func worst(_ addresses: [IPEndpoint]) -> (mean: Double, worst: Int) {
            let table = AddressTable(Dictionary(addresses.enumerated().map { ($1, $0) }) { first, _ in first })
            let probes = addresses.map(table.probes)
            return (Double(probes.reduce(0, +)) / Double(probes.count), probes.max() ?? 0)
        }
        let row = (0..<10_000).map { IPEndpoint(IPAddress(v4: 0xF0F0_0000 + UInt32($0)), 80) }
        let row6 = (0..<10_000).map { IPEndpoint(IPAddress(v6: 0x2001_0002_0000_0000, UInt64($0)), 80) }
        let ports = (0..<10_000).map { IPEndpoint(IPAddress(v4: 0xF0F0_0001), UInt16($0)) }
        for addresses in [row, row6, ports, row + row6] {
            let found = worst(addresses)
            #expect(found.mean < 1.6, "\(found)")
            #expect(found.worst < 24, "\(found)")
        }
    }
}
