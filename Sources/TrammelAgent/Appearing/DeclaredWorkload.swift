import TrammelConfig
import TrammelCore

/// That a workload is attached because a Workload resource says so: what is kept of the resource beside the attachment.
struct DeclaredWorkload: Codable, Hashable, Sendable {
    let namespace: String
    let name: String
    /// The ports that have names.
    var ports: [String: UInt16]

    init(_ resource: ResourceKey, ports: [String: UInt16]) {
        namespace = resource.namespace
        name = resource.name
        self.ports = ports
    }

    var resource: ResourceKey { ResourceKey(kind: .workload, namespace: namespace, name: name) }
}
