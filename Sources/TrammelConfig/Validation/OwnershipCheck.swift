import TrammelCore

/// Things that can have one owner only.
enum OwnershipCheck {
    /// - Parameter resources: the oldest first.
    static func check(_ resources: [Resource], _ index: SetIndex) -> [ConfigError] {
        var issues: [ConfigError] = []
        var addresses: [Claim: Resource] = [:]
        var routed: [ServiceHost: [Resource]] = [:]
        var ruled: [ServiceHost: [Resource]] = [:]
        var mesh: Resource?
        for resource in resources {
            switch resource.spec {
            case .service(let spec):
                issues += claim(resource, spec, &addresses)
            case .virtualService(let spec) where spec.appliesToMesh:
                for host in spec.hosts { routed[index.resolve(host, from: resource), default: []].append(resource) }
            case .virtualService:
                break
            case .destinationRule(let spec):
                ruled[index.resolve(spec.host, from: resource), default: []].append(resource)
            case .meshConfig:
                if let older = mesh {
                    issues.append(
                        resource.issue(
                            .conflict,
                            "\(older.key) (\(older.location)) configures the mesh already; there can be one only",
                            hint: "change that one, or delete it first"))
                }
                mesh = mesh ?? resource
            case .serviceEntry, .workloadEntry, .endpointSlice, .workload:
                break
            }
        }
        for (host, rivals) in routed.sorted(by: { $0.key < $1.key }) { issues += rivalRoutes(host, rivals) }
        for (host, rivals) in ruled.sorted(by: { $0.key < $1.key }) { issues += rivalRules(host, rivals) }
        return issues
    }

    /// Of VirtualServices for one host one holds: that of the host's own namespace, else the oldest.
    private static func rivalRoutes(_ host: ServiceHost, _ rivals: [Resource]) -> [ConfigError] {
        guard rivals.count > 1 else { return [] }
        let home = SetIndex.home(of: host, among: rivals.map(\.key.namespace))
        guard let winner = rivals.first(where: { $0.key.namespace == home }) else { return [] }
        return rivals.filter { $0.key != winner.key }.map { loser in
            let reason = loser.key.namespace == home ? "is older" : reason(home, host)
            return loser.issue(
                .duplicate, severity: .warning, field: "spec.hosts",
                "\(winner.key) (\(winner.location)) routes \(host) too; it \(reason) and holds, this one has no effect on \(host)",
                hint: "put all routes of a host into one VirtualService")
        }
    }

    /// DestinationRules for one host are joined within a namespace; those of the host's own, else of the oldest, hold.
    private static func rivalRules(_ host: ServiceHost, _ rivals: [Resource]) -> [ConfigError] {
        guard rivals.count > 1 else { return [] }
        let home = SetIndex.home(of: host, among: rivals.map(\.key.namespace))
        guard let winner = rivals.first(where: { $0.key.namespace == home }) else { return [] }
        return rivals.filter { $0.key != winner.key }.map { loser in
            let effect =
                loser.key.namespace == home
                ? "their subsets are joined, and where they differ the older holds"
                : "it \(reason(home, host)) and holds, this one has no effect"
            return loser.issue(
                .duplicate, severity: .warning, field: "spec.host",
                "\(winner.key) (\(winner.location)) is for \(host) too; \(effect)",
                hint: "put all settings of a host into one DestinationRule")
        }
    }

    private static func reason(_ namespace: String?, _ host: ServiceHost) -> String {
        namespace == host.service?.namespace ? "is of the host's own namespace" : "is older"
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
