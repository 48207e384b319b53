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
            let selector: [String: String]
            let ports: [ServiceSpec.Port]
            switch entry.resource.spec {
            case .service(let spec): (selector, ports) = (spec.selector, spec.ports)
            case .serviceEntry(let spec): (selector, ports) = (spec.workloadSelector ?? [:], spec.ports)
            default: continue
            }
            guard let first = selector.min(by: { $0.key < $1.key }) else { continue }
            let label = Label(namespace: entry.resource.key.namespace, name: first.key, value: first.value)
            let targets = ports.filter { $0.transport == .tcp }.map(\.targetPort)
            selections[label, default: []].append(Selection(labels: selector, ports: targets))
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
