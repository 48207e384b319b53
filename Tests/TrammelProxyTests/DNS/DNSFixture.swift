import TrammelConfig
import TrammelCore
import TrammelPolicy
import TrammelWire

@testable import TrammelProxy

/// A small mesh, and questions to it.
enum DNSFixture {
    private static let somewhere = SourceLocation(file: "mesh.yaml", line: 1)

    /// `reviews` of both families, `four` of IPv4 only, `pool` headless with three endpoints, `empty` headless with
    /// none, all in `default`; `ledger` in `bank`.
    static let snapshot: RuntimeSnapshot = {
        func service(_ name: String, in namespace: String = "default", _ clusterIP: ServiceSpec.ClusterIP) -> Resource {
            Resource(
                key: ResourceKey(kind: .service, namespace: namespace, name: name), location: somewhere,
                spec: .service(
                    ServiceSpec(
                        selector: ["app": name],
                        ports: [
                            .init(name: "http", port: 9080, targetPort: 9080, appProtocol: .http, location: somewhere)
                        ], clusterIP: clusterIP)))
        }
        let workloads = (1...3).map { number in
            WorkloadFacts(
                id: WorkloadID(rawValue: UInt32(number)),
                identity: WorkloadIdentity(
                    name: WorkloadName(namespace: "default", name: "pool-\(number)"), labels: ["app": "pool"]),
                addresses: [IPAddress(v4: 0x0A01_0000 + UInt32(number))])
        }
        return SnapshotCompiler().compile(
            resources: [
                service("reviews", .allocate), service("four", .addresses(addresses("240.240.0.4"))),
                service("pool", .headless), service("empty", .headless),
                service("ledger", in: "bank", .addresses(addresses("240.240.0.5"))),
            ],
            workloads: workloads,
            version: 1, vips: { $0.name == "reviews" ? addresses("240.240.0.1", "2001:2::1") : [] }
        ).snapshot
    }()

    static func addresses(_ texts: String...) -> [IPAddress] { texts.compactMap { IPAddress($0) } }

    static func workload(in namespace: String = "default") -> WorkloadIdentity {
        WorkloadIdentity(name: WorkloadName(namespace: namespace, name: "client"))
    }

    /// The bytes of a query.
    static func bytes(
        _ name: String, _ type: DNSType = .a, class: DNSClass = .internet, id: UInt16 = 7, flags: UInt16 = 0x0100,
        edns: EDNS? = nil
    ) -> [UInt8] {
        var message = DNSMessage(id: id, flags: DNSFlags(rawValue: flags))
        message.questions = [DNSQuestion(name: DNSName(name) ?? .root, type: type, class: `class`)]
        message.edns = edns
        return message.encoded()
    }

    struct NoQuery: Error {}

    static func query(
        _ name: String, _ type: DNSType = .a, class: DNSClass = .internet, id: UInt16 = 7, flags: UInt16 = 0x0100,
        edns: EDNS? = nil
    ) throws -> DNSQuery {
        guard
            case .query(let query) = DNSQuery.read(
                bytes(name, type, class: `class`, id: id, flags: flags, edns: edns))
        else { throw NoQuery() }
        return query
    }
}
