import TrammelConfig
import TrammelCore

extension Explanation.Step {
    static func owned(_ original: OriginalDestination, _ port: ServicePort) -> Explanation.Step {
        let kind = port.defaultCluster.isHeadless ? "an endpoint's own address of the headless" : "the address of"
        return Explanation.Step(
            title: "address",
            detail: "\(original) is \(kind) \(port.host), port \(port.port) (\(port.appProtocol.rawValue))",
            origin: port.origin)
    }

    static func unowned(_ original: OriginalDestination) -> Explanation.Step {
        Explanation.Step(title: "address", detail: "\(original) is no service's", origin: nil)
    }

    static func balancing(_ cluster: Cluster) -> Explanation.Step {
        var detail = cluster.name + ": "
        if let subset = cluster.subset { detail += "subset \(subset), " }
        if cluster.endpoints.isEmpty {
            detail += "no endpoint is ready, so the answer is 503 (UH)"
        } else {
            detail +=
                "\(cluster.policy.rawValue) over " + cluster.endpoints.map(\.description).joined(separator: ", ")
        }
        if !cluster.notReady.isEmpty {
            detail += "; not listening: " + cluster.notReady.map(\.description).joined(separator: ", ")
        }
        return Explanation.Step(title: "endpoints", detail: detail, origin: cluster.rule)
    }

    static func kept(_ cluster: Cluster, _ original: OriginalDestination) -> Explanation.Step {
        let reason = cluster.policy == .passthrough ? "its loadBalancer is PASSTHROUGH" : "the service is headless"
        return Explanation.Step(
            title: "endpoints", detail: "\(cluster.name): \(original) as asked for, since \(reason)",
            origin: cluster.rule)
    }

    static func outsideTheMesh(
        _ policy: MeshConfigSpec.OutboundTrafficPolicy, _ meshConfig: ResourceReference?, answer: String
    ) -> Explanation.Step {
        let meaning =
            switch policy {
            case .allowAny: "passed through as asked"
            case .registryOnly: answer
            }
        return Explanation.Step(
            title: "outside the mesh", detail: "outboundTrafficPolicy is \(policy.rawValue): \(meaning)",
            origin: meshConfig)
    }
}

extension Explanation.Possibility {
    static func all(to cluster: Cluster) -> Explanation.Possibility {
        Explanation.Possibility(
            destination: cluster.name, share: 1, cluster: cluster, endpoints: cluster.endpoints)
    }
}
