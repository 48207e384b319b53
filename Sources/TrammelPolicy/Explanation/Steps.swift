import TrammelConfig
import TrammelCore

extension DecisionStory.Step {
    /// - Parameter transport: where that says more than what is spoken.
    static func owned(
        _ original: OriginalDestination, _ port: ServicePort, over transport: String? = nil
    ) -> DecisionStory.Step {
        let kind = port.defaultCluster.isHeadless ? "an endpoint's own address of the headless" : "the address of"
        return DecisionStory.Step(
            title: "address",
            detail:
                "\(original) is \(kind) \(port.host), port \(port.port) (\(transport ?? port.appProtocol.rawValue))",
            origin: port.origin)
    }

    static func unowned(_ original: OriginalDestination) -> DecisionStory.Step {
        let address = original.endpoint.address.isUnspecified ? "the address that it resolves to" : "\(original)"
        return DecisionStory.Step(title: "address", detail: "\(address) is no service's", origin: nil)
    }

    static func balancing(_ cluster: Cluster, orElse: String = "the answer is 503 (UH)") -> DecisionStory.Step {
        var detail = cluster.name + ": "
        if let subset = cluster.subset { detail += "subset \(subset), " }
        if cluster.endpoints.isEmpty {
            detail += "there is no endpoint, so \(orElse)"
        } else if cluster.isNoneReady {
            detail +=
                "nothing listens at any endpoint, so each may be tried: "
                + cluster.endpoints.map(\.description).joined(separator: ", ")
        } else {
            detail +=
                "\(cluster.policy.rawValue) over " + cluster.endpoints.map(\.description).joined(separator: ", ")
        }
        if !cluster.notReady.isEmpty, !cluster.isNoneReady {
            detail += "; not listening: " + cluster.notReady.map(\.description).joined(separator: ", ")
        }
        return DecisionStory.Step(title: "endpoints", detail: detail, origin: cluster.rule)
    }

    static func kept(_ cluster: Cluster, _ original: OriginalDestination) -> DecisionStory.Step {
        let reason =
            switch cluster.kind {
            case .asked: "the ServiceEntry's resolution is NONE"
            case .headless: "the service is headless"
            case .balanced: "its loadBalancer is PASSTHROUGH"
            }
        return DecisionStory.Step(
            title: "endpoints", detail: "\(cluster.name): \(original) as asked for, since \(reason)",
            origin: cluster.rule)
    }

    static func outsideTheMesh(
        _ policy: MeshConfigSpec.OutboundTrafficPolicy, _ meshConfig: ResourceReference?, answer: String
    ) -> DecisionStory.Step {
        let meaning =
            switch policy {
            case .allowAny: "passed through as asked"
            case .registryOnly: answer
            }
        return DecisionStory.Step(
            title: "outside the mesh", detail: "outboundTrafficPolicy is \(policy.rawValue): \(meaning)",
            origin: meshConfig)
    }
}

extension DecisionStory.Possibility {
    static func all(to cluster: Cluster) -> DecisionStory.Possibility {
        DecisionStory.Possibility(
            destination: cluster.name, share: 1, cluster: cluster, endpoints: cluster.endpoints)
    }
}
