import Testing
import TrammelConfig

@testable import TrammelPolicy

/// Of two resources that say something about one host, the one that people are told holds is the one that does.
@Suite("Rival resources")
struct RivalTests {
    private static let service = """
        apiVersion: v1
        kind: Service
        metadata: {name: reviews}
        spec: {ports: [{name: http, port: 80}], selector: {app: reviews}, clusterIP: 240.240.0.9}
        """

    private static func routes(_ name: String, status: Int) -> String {
        """
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: \(name)}
        spec: {hosts: [reviews], http: [{directResponse: {status: \(status)}}]}
        """
    }

    private static func rule(_ name: String, balancer: String) -> String {
        """
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {name: \(name)}
        spec: {host: reviews, trafficPolicy: {loadBalancer: {simple: \(balancer)}}}
        """
    }

    /// Applied one after the other; the warnings of the last.
    private static func apply(_ documents: String...) throws -> (set: ResourceSet, warnings: [ConfigError]) {
        var set = ResourceSet()
        var warnings: [ConfigError] = []
        for (number, text) in documents.enumerated() {
            let batch = try ResourceDecoder.decode(
                [(file: "\(number).yaml", bytes: Array(text.utf8))], options: DecodingOptions())
            let applied = try set.applying(batch)
            (set, warnings) = (applied.set, applied.warnings)
        }
        return (set, warnings)
    }

    private static func compile(_ set: ResourceSet) -> Mesh {
        let (snapshot, warnings) = SnapshotCompiler().compile(
            resources: set.resources, workloads: [], version: 1)
        return Mesh(snapshot: snapshot, warnings: warnings, workloads: [])
    }

    @Test("of two VirtualServices the older holds, whatever they are called", arguments: [["z", "a"], ["a", "z"]])
    func routes(_ names: [String]) throws {
        let (set, warnings) = try Self.apply(
            Self.service, Self.routes(names[0], status: 418), Self.routes(names[1], status: 451))
        #expect(warnings.count == 1)
        #expect(warnings.first?.name == names[1])
        let mesh = Self.compile(set)
        #expect(mesh.decide("GET /\nhost: reviews", to: "240.240.0.9:80").summary == "418 -")
        #expect(mesh.warnings.map(\.resource.name) == [names[1]])
    }

    @Test("of two DestinationRules the older holds, whatever they are called", arguments: [["z", "a"], ["a", "z"]])
    func rules(_ names: [String]) throws {
        let (set, warnings) = try Self.apply(
            Self.service, Self.rule(names[0], balancer: "RANDOM"), Self.rule(names[1], balancer: "ROUND_ROBIN"))
        #expect(warnings.map(\.name) == [names[1]])
        let mesh = Self.compile(set)
        #expect(mesh.cluster("outbound|80||reviews.default.svc.cluster.local")?.policy == .random)
    }

    @Test("changing the older makes it no younger")
    func changed() throws {
        let (set, _) = try Self.apply(
            Self.service, Self.routes("z", status: 418), Self.routes("a", status: 451), Self.routes("z", status: 404))
        #expect(Self.compile(set).decide("GET /\nhost: reviews", to: "240.240.0.9:80").summary == "404 -")
    }
}
