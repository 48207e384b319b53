/// What is known of a document from its `apiVersion` and `kind` alone.
enum KindVerdict {
    case stored(ResourceKind)
    /// The ecosystem has it and Trammel will. `skippable` is false where leaving it out would open a door.
    case later(skippable: Bool)
    /// Withdrawn by Istio; nothing serves it any more.
    case withdrawn(instead: String, skippable: Bool)
    /// Has no meaning here; skipped with this reason.
    case skipped(reason: String)
    case wrong(message: String, hint: String?)
}

/// The kinds of the ecosystem and what becomes of each.
enum KnownKinds {
    /// Of Istio, of the Gateway API and of Trammel itself, by API group; not built yet.
    private static let later: [String: [String]] = [
        "networking.istio.io": [
            "EnvoyFilter", "Gateway", "ProxyConfig", "Sidecar", "WorkloadGroup",
        ],
        "security.istio.io": ["AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication"],
        "telemetry.istio.io": ["Telemetry"],
        "extensions.istio.io": ["TrafficExtension", "WasmPlugin"],
        "install.istio.io": ["IstioOperator"],
        "gateway.networking.k8s.io": [
            "BackendTLSPolicy", "GRPCRoute", "Gateway", "GatewayClass", "HTTPRoute", "ReferenceGrant", "TCPRoute",
            "TLSRoute", "UDPRoute",
        ],
        "discovery.k8s.io": [],
        "trammel.dev": ["RateLimitPolicy"],
    ]

    /// Istio's API groups that are no more.
    private static let withdrawn: [String: (instead: String, skippable: Bool)] = [
        "authentication.istio.io": (
            "PeerAuthentication and RequestAuthentication of security.istio.io took its place", false
        ),
        "rbac.istio.io": ("AuthorizationPolicy of security.istio.io took its place", false),
        "config.istio.io": ("Telemetry, AuthorizationPolicy and RateLimitPolicy took the place of Mixer's rules", true),
    ]

    /// Kubernetes' own groups and those kinds in them that a vendor's file is likely to hold.
    private static let kubernetes: [String: [String]] = [
        "": [
            "Binding", "ComponentStatus", "ConfigMap", "Endpoints", "Event", "LimitRange", "Namespace", "Node",
            "PersistentVolume", "PersistentVolumeClaim", "Pod", "PodTemplate", "ReplicationController", "ResourceQuota",
            "Secret", "ServiceAccount",
        ],
        "apps": ["ControllerRevision", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"],
        "batch": ["CronJob", "Job"],
        "autoscaling": ["HorizontalPodAutoscaler"],
        "policy": ["PodDisruptionBudget", "PodSecurityPolicy"],
        "extensions": ["DaemonSet", "Deployment", "Ingress", "NetworkPolicy", "PodSecurityPolicy", "ReplicaSet"],
    ]

    static func verdict(apiVersion: String, kind: String) -> KindVerdict {
        let slash = apiVersion.firstIndex(of: "/")
        let group = slash.map { String(apiVersion[..<$0]) } ?? ""
        if let stored = ResourceKind(rawValue: kind), stored.apiVersions.contains(apiVersion) { return .stored(stored) }
        if let groups = withdrawn[group] { return .withdrawn(instead: groups.instead, skippable: groups.skippable) }
        if later[group]?.contains(kind) == true { return .later(skippable: group != "security.istio.io") }
        if kubernetes[group]?.contains(kind) == true {
            return .skipped(reason: reason(for: kind, group: group))
        }
        // A kind of ours under a version or group that does not serve it.
        if let stored = ResourceKind(rawValue: kind),
            isOurs(group) || kubernetes[group] != nil || NearestName.nearest(to: group, among: ours) != nil
        {
            return .wrong(
                message: "found apiVersion \(quoted(apiVersion)); \(kind) is served as "
                    + stored.apiVersions.joined(separator: ", "), hint: nil)
        }
        if isOurs(group) || kubernetes[group] != nil {
            let kinds = kinds(of: group)
            let elsewhere = ResourceKind.allCases.map(\.rawValue) + later.values.joined().sorted()
            if let home = later.keys.sorted().first(where: { later[$0]?.contains(kind) == true }) {
                return .wrong(
                    message: "found \(kind) in \(quoted(apiVersion))", hint: "it belongs to the API group \(home)")
            }
            return .wrong(
                message: "found the unknown kind \(quoted(kind)) in \(quoted(apiVersion))",
                hint: NearestName.hint(for: kind, among: kinds) ?? NearestName.hint(for: kind, among: elsewhere)
                    ?? "known there: \(kinds.joined(separator: ", "))")
        }
        if let near = NearestName.nearest(to: group, among: ours) {
            return .wrong(
                message: "found the unknown API group \(quoted(group))", hint: "did you mean \(quoted(near))?")
        }
        return .skipped(reason: reason(for: kind, group: group))
    }

    private static let ours = ["networking.istio.io", "security.istio.io", "telemetry.istio.io", "trammel.dev"]

    private static func isOurs(_ group: String) -> Bool { later[group] != nil }

    private static func kinds(of group: String) -> [String] {
        let stored = ResourceKind.allCases.filter { kind in
            kind.apiVersions.contains { $0.hasPrefix("\(group)/") || group.isEmpty && !$0.contains("/") }
        }
        return stored.map(\.rawValue) + (later[group] ?? []) + (kubernetes[group] ?? [])
    }

    private static func reason(for kind: String, group: String) -> String {
        switch kind {
        case "NetworkPolicy": "network policies are enforced by the network, not by Trammel"
        case "Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob":
            "Trammel starts no workloads; attach them with trammel attach"
        case _ where kubernetes[group] != nil || group.hasSuffix(".k8s.io"): "a Kubernetes kind without meaning here"
        default: "nothing here reads the API group \(quoted(group))"
        }
    }
}
