/// Where something was written: the file (or `-`, or `api`) and the 1-based line and column in it.
package struct SourceLocation: Hashable, Sendable, CustomStringConvertible {
    package let file: String
    package let line: Int
    package let column: Int

    package init(file: String, line: Int, column: Int = 1) {
        self.file = file
        self.line = line
        self.column = column
    }

    /// `canary.yaml:12`, the form that editors and `explain` use.
    package var description: String { "\(file):\(line)" }
}

/// The kinds that can be stored, under the names of the ecosystem.
package enum ResourceKind: String, Hashable, Sendable, CaseIterable, Comparable {
    case service = "Service"
    case virtualService = "VirtualService"
    case destinationRule = "DestinationRule"
    case serviceEntry = "ServiceEntry"
    case workloadEntry = "WorkloadEntry"
    case endpointSlice = "EndpointSlice"
    case workload = "Workload"
    case meshConfig = "MeshConfig"

    /// Those that serve the kind, the newest first.
    package var apiVersions: [String] {
        switch self {
        case .service: ["v1"]
        case .virtualService, .destinationRule, .serviceEntry, .workloadEntry:
            ["networking.istio.io/v1", "networking.istio.io/v1beta1", "networking.istio.io/v1alpha3"]
        case .endpointSlice: ["discovery.k8s.io/v1"]
        case .meshConfig, .workload: ["trammel.dev/v1"]
        }
    }

    package static func < (a: ResourceKind, b: ResourceKind) -> Bool { a.rawValue < b.rawValue }
}

/// What tells one resource from every other.
package struct ResourceKey: Hashable, Sendable, Comparable, CustomStringConvertible {
    package let kind: ResourceKind
    package let namespace: String
    package let name: String

    package init(kind: ResourceKind, namespace: String, name: String) {
        self.kind = kind
        self.namespace = namespace
        self.name = name
    }

    /// `VirtualService default/reviews`.
    package var description: String { "\(kind.rawValue) \(namespace)/\(name)" }

    package static func < (a: ResourceKey, b: ResourceKey) -> Bool {
        (a.kind, a.namespace, a.name) < (b.kind, b.namespace, b.name)
    }
}

/// A decoded document: its identity, its typed spec, and where it was written.
package struct Resource: Sendable {
    package let key: ResourceKey
    /// As written, of those that serve the kind: `networking.istio.io/v1beta1`.
    package let apiVersion: String
    package let labels: [String: String]
    package let annotations: [String: String]
    package let location: SourceLocation
    package let spec: Spec
    /// The document behind it, without what a server adds: what the store keeps and `get` shows. An empty mapping for
    /// a resource that was made in code.
    package var document: ConfigNode { packed.node }
    /// How many nodes `document` has.
    package var documentSize: Int { packed.count }
    private let packed: PackedDocument

    package enum Spec: Sendable, Equatable {
        case service(ServiceSpec)
        case virtualService(VirtualServiceSpec)
        case destinationRule(DestinationRuleSpec)
        case serviceEntry(ServiceEntrySpec)
        case workloadEntry(WorkloadEntrySpec)
        case endpointSlice(EndpointSliceSpec)
        case workload(WorkloadSpec)
        case meshConfig(MeshConfigSpec)
    }

    package init(
        key: ResourceKey, apiVersion: String? = nil, labels: [String: String] = [:],
        annotations: [String: String] = [:], location: SourceLocation, spec: Spec,
        document: ConfigNode = ConfigNode(.mapping([]), at: .init(line: 1, column: 1))
    ) {
        self.key = key
        self.apiVersion = apiVersion ?? key.kind.apiVersions[0]
        self.labels = labels
        self.annotations = annotations
        self.location = location
        self.spec = spec
        packed = PackedDocument(document)
    }
}
