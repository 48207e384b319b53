import TrammelCore

/// Finds the workloads that a selector means, without holding each service against each workload.
struct WorkloadIndex {
    private struct Label: Hashable {
        let namespace: String
        let name: String
        let value: String
    }

    private let workloads: [WorkloadFacts]
    private var byLabel: [Label: [Int]] = [:]

    init(_ workloads: [WorkloadFacts]) {
        // In the order of names: what is compiled does not depend on the order in which workloads were attached.
        let workloads = workloads.sorted { ($0.identity.name, $0.id.rawValue) < ($1.identity.name, $1.id.rawValue) }
        self.workloads = workloads
        for (index, workload) in workloads.enumerated() {
            let namespace = workload.identity.name.namespace
            for (name, value) in workload.identity.labels {
                byLabel[Label(namespace: namespace, name: name, value: value), default: []].append(index)
            }
        }
    }

    /// The workloads of `namespace` that bear every label of `selector`; none for an empty selector, as a Service
    /// without one has its endpoints from elsewhere.
    func matching(_ selector: [String: String], in namespace: String) -> [WorkloadFacts] {
        var smallest: [Int]?
        for (name, value) in selector {
            guard let found = byLabel[Label(namespace: namespace, name: name, value: value)] else { return [] }
            if found.count < smallest?.count ?? .max { smallest = found }
        }
        guard let smallest else { return [] }
        if selector.count == 1 { return smallest.map { workloads[$0] } }
        return smallest.lazy.map { workloads[$0] }.filter { $0.identity.labels.contains(selector) }
    }
}

extension [String: String] {
    /// Whether every pair of `other` is among these.
    func contains(_ other: [String: String]) -> Bool { other.allSatisfy { self[$0.key] == $0.value } }
}
