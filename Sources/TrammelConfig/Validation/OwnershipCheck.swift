import TrammelCore

/// Things that can have one owner only.
enum OwnershipCheck {
    /// - Parameter resources: the oldest first.
    static func check(_ resources: [Resource]) -> [ConfigError] {
        var issues: [ConfigError] = []
        var addresses: [Claim: Resource] = [:]
        var routed: [ServiceHost: Resource] = [:]
        var ruled: [ServiceHost: Resource] = [:]
        var mesh: Resource?
        for resource in resources {
            switch resource.spec {
            case .service(let spec):
                issues += claim(resource, spec, &addresses)
            case .virtualService(let spec) where spec.appliesToMesh:
                for host in spec.hosts {
                    let host = ServiceHost(host, inNamespace: resource.key.namespace)
                    guard let older = routed[host] else {
                        routed[host] = resource
                        continue
                    }
                    issues.append(
                        resource.issue(
                            .duplicate, severity: .warning, field: "spec.hosts",
                            "\(older.key) (\(older.location)) routes \(host) too; it is older and holds, this one has no effect on \(host)",
                            hint: "put all routes of a host into one VirtualService"))
                }
            case .virtualService:
                break
            case .destinationRule(let spec):
                let host = ServiceHost(spec.host, inNamespace: resource.key.namespace)
                guard let older = ruled[host] else {
                    ruled[host] = resource
                    continue
                }
                issues.append(
                    resource.issue(
                        .duplicate, severity: .warning, field: "spec.host",
                        "\(older.key) (\(older.location)) is for \(host) too; where they differ the older holds",
                        hint: "put all settings of a host into one DestinationRule"))
            case .meshConfig:
                if let older = mesh {
                    issues.append(
                        resource.issue(
                            .conflict,
                            "\(older.key) (\(older.location)) configures the mesh already; there can be one only",
                            hint: "change that one, or delete it first"))
                }
                mesh = mesh ?? resource
            }
        }
        return issues
    }

    private struct Claim: Hashable {
        let address: IPAddress
        let port: UInt16
        let transport: ServiceSpec.Transport
    }

    private static func claim(
        _ resource: Resource, _ spec: ServiceSpec, _ addresses: inout [Claim: Resource]
    ) -> [ConfigError] {
        guard case .addresses(let own) = spec.clusterIP else { return [] }
        var issues: [ConfigError] = []
        for address in own {
            for port in spec.ports {
                let claim = Claim(address: address, port: port.port, transport: port.transport)
                guard let owner = addresses[claim] else {
                    addresses[claim] = resource
                    continue
                }
                issues.append(
                    resource.issue(
                        .conflict, field: "spec.clusterIP", at: port.location,
                        "\(IPEndpoint(address, port.port)) belongs to \(owner.key) (\(owner.location)) already",
                        hint: "give one of them another address, or leave clusterIP out to have one allocated"))
            }
        }
        return issues
    }
}
