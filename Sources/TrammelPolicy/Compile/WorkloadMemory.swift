import TrammelConfig
import TrammelCore

/// The attached workloads as of the last compile, and what has changed since.
struct WorkloadMemory {
    private var known: [WorkloadID: KnownWorkload] = [:]
    private(set) var index = LabelIndex<KnownWorkload>()
    private var byAddress: [IPAddress: [KnownWorkload]] = [:]

    /// What came of an update.
    struct Changes {
        /// Those that came, went, changed or became ready or unready, as they are and as they were.
        var touched: [KnownWorkload] = []
        /// The addresses of those that came or went.
        var addresses: Set<IPAddress> = []
    }

    mutating func update(_ workloads: [WorkloadFacts]) -> Changes {
        var changes = Changes()
        known.reserveCapacity(workloads.count)
        for facts in workloads {
            let former = known[facts.id]
            if let former, former.isStill(facts) {
                guard former.listens(otherwiseThan: facts) else { continue }
                former.listens(as: facts)
                changes.touched.append(former)
                continue
            }
            if let former { forget(former, &changes) }
            let workload = KnownWorkload(facts, after: former)
            known[facts.id] = workload
            index.insert(workload)
            for address in workload.addresses { byAddress[address, default: []].append(workload) }
            changes.touched.append(workload)
            changes.addresses.formUnion(workload.addresses)
        }
        guard known.count > workloads.count else { return changes }
        let live = Set(workloads.map(\.id))
        for (id, workload) in known where !live.contains(id) {
            forget(workload, &changes)
            known[id] = nil
        }
        return changes
    }

    private mutating func forget(_ workload: KnownWorkload, _ changes: inout Changes) {
        index.remove(workload)
        for address in workload.addresses {
            byAddress[address]?.removeAll { $0 === workload }
            if byAddress[address]?.isEmpty == true { byAddress[address] = nil }
        }
        changes.touched.append(workload)
        changes.addresses.formUnion(workload.addresses)
    }

    /// The attached workload that an address means to a service of `namespace`; nil where none bears it, or several that
    /// the namespace does not tell apart, since namespaces of the kernel may use the same addresses.
    func workload(at address: IPAddress, for namespace: String) -> KnownWorkload? {
        guard !address.isLoopback, let found = byAddress[address] else { return nil }
        if found.count == 1 { return found[0] }
        let own = found.filter { $0.namespace == namespace }
        return own.count == 1 ? own[0] : nil
    }
}

/// Numbers for endpoints, dense, by which loops keep what they know of each.
struct EndpointSlots {
    private var next = 0
    private var resting: [Int] = []
    private var firstResting = 0
    private var lastSerial: UInt64 = 0
    /// How many numbers rest before one is given out again: whoever still counts something under an old number has had
    /// that many changes of endpoints to be done with it.
    private static let rest = 1 << 16

    /// A number that no other endpoint ever has.
    mutating func serial() -> UInt64 {
        lastSerial += 1
        return lastSerial
    }

    mutating func take() -> Int {
        if resting.count - firstResting > EndpointSlots.rest {
            firstResting += 1
            return resting[firstResting - 1]
        }
        next += 1
        return next - 1
    }

    mutating func giveBack(_ slot: Int) {
        if firstResting > EndpointSlots.rest {
            resting.removeFirst(firstResting)
            firstResting = 0
        }
        resting.append(slot)
    }
}
