import TrammelConfig
import TrammelCore

/// The workloads of the last compile and what has changed since: what makes a change of one endpoint cost less than
/// compiling everything again, and slots outlive snapshots.
struct WorkloadMemory {
    private var known: [WorkloadID: KnownWorkload] = [:]
    private(set) var index = WorkloadIndex()
    private var nextEndpointSlot = 0
    /// Those that came, went, changed or became ready or unready with the last `update`.
    private(set) var changed: [KnownWorkload] = []

    mutating func update(_ workloads: [WorkloadFacts]) {
        changed = []
        known.reserveCapacity(workloads.count)
        for facts in workloads {
            let former = known[facts.id]
            if let former, former.isStill(facts) {
                guard former.listens(otherwiseThan: facts) else { continue }
                former.listens(as: facts)
                changed.append(former)
                continue
            }
            if let former { forget(former) }
            let workload = KnownWorkload(facts, after: former)
            known[facts.id] = workload
            index.insert(workload)
            changed.append(workload)
        }
        guard known.count > workloads.count else { return }
        let live = Set(workloads.map(\.id))
        for (id, workload) in known where !live.contains(id) {
            forget(workload)
            known[id] = nil
        }
    }

    private mutating func forget(_ workload: KnownWorkload) {
        index.remove(workload)
        changed.append(workload)
    }

    /// Whether the endpoints of a service may be others than at the last compile.
    func mayHaveChanged(_ selector: [String: String], in namespace: String) -> Bool {
        guard !selector.isEmpty else { return false }
        return changed.contains { $0.name.namespace == namespace && $0.labels.contains(selector) }
    }

    mutating func endpoint(of workload: KnownWorkload, port: UInt16) -> Endpoint {
        workload.endpoint(port: port, nextSlot: &nextEndpointSlot)
    }
}
