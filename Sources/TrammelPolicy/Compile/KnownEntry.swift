import TrammelConfig

/// A WorkloadEntry as selectors find it.
final class KnownEntry: Selectable {
    let name: String
    let namespace: String
    let spec: WorkloadEntrySpec

    var labels: [String: String] { spec.labels }

    init(_ key: ResourceKey, _ spec: WorkloadEntrySpec) {
        name = key.name
        namespace = key.namespace
        self.spec = spec
    }
}
