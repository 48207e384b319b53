import TrammelConfig
import TrammelCore

/// The ports at which services expect the workloads that they select, found without holding each service against each
/// workload.
struct TargetPorts: Sendable {
    private struct Label: Hashable {
        let namespace: String
        let name: String
        let value: String
    }

    private struct Selection {
        let labels: [String: String]
        let ports: [UInt16]
    }

    /// By one label of the selector, the first by name.
    private var selections: [Label: [Selection]] = [:]

    init(_ entries: some Sequence<ResourceSet.Entry> = []) {
        for entry in entries {
            guard case .service(let spec) = entry.resource.spec,
                let first = spec.selector.min(by: { $0.key < $1.key })
            else { continue }
            let label = Label(namespace: entry.resource.key.namespace, name: first.key, value: first.value)
            let ports = spec.ports.filter { $0.transport == .tcp }.map(\.targetPort)
            selections[label, default: []].append(Selection(labels: spec.selector, ports: ports))
        }
    }

    func ports(of workload: WorkloadIdentity) -> Set<UInt16> {
        var ports: Set<UInt16> = []
        for (name, value) in workload.labels {
            let label = Label(namespace: workload.name.namespace, name: name, value: value)
            for selection in selections[label] ?? []
            where selection.labels.allSatisfy({ workload.labels[$0.key] == $0.value }) {
                ports.formUnion(selection.ports)
            }
        }
        return ports
    }
}
