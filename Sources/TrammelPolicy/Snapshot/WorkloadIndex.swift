import TrammelConfig
import TrammelCore

/// A workload as the compiler remembers it from one compile to the next, with the endpoints made for its ports.
final class KnownWorkload {
    let source: Source
    /// Never empty.
    let addresses: [IPAddress]
    private(set) var notListening: Set<UInt16>
    private var listeningElsewhere: [UInt16: IPAddress]
    private var listeningInOtherFamily: [UInt16: IPAddress]
    private(set) var endpoints: [Endpoint] = []
    /// Slots of endpoints at the same address that were made before the workload's labels changed.
    private let inherited: [UInt16: Int]

    var name: WorkloadName { source.identity.name }
    var labels: [String: String] { source.identity.labels }

    init(_ facts: WorkloadFacts, after former: KnownWorkload?) {
        source = Source(id: facts.id, identity: facts.identity)
        addresses = KnownWorkload.addresses(of: facts)
        notListening = facts.notListening
        listeningElsewhere = facts.listeningElsewhere
        listeningInOtherFamily = facts.listeningInOtherFamily
        if let former, former.addresses[0] == addresses[0] {
            let own = former.endpoints.map { ($0.address.port, $0.slot) }
            inherited = former.inherited.merging(own) { _, newer in newer }
        } else {
            inherited = [:]
        }
    }

    /// Whether everything but readiness is as it was.
    func isStill(_ facts: WorkloadFacts) -> Bool {
        source.identity == facts.identity && addresses == KnownWorkload.addresses(of: facts)
    }

    func listens(otherwiseThan facts: WorkloadFacts) -> Bool {
        notListening != facts.notListening || listeningElsewhere != facts.listeningElsewhere
            || listeningInOtherFamily != facts.listeningInOtherFamily
    }

    func listens(as facts: WorkloadFacts) {
        notListening = facts.notListening
        listeningElsewhere = facts.listeningElsewhere
        listeningInOtherFamily = facts.listeningInOtherFamily
    }

    func endpoint(port: UInt16, nextSlot: inout Int) -> Endpoint {
        let address = IPEndpoint(listeningElsewhere[port] ?? addresses[0], port)
        let other = listeningInOtherFamily[port]
        if let known = endpoints.first(where: { $0.address == address && $0.otherFamily == other }) { return known }
        let former = endpoints.first { $0.address.port == port }
        let slot = former?.slot ?? inherited[port] ?? nextSlot
        if slot == nextSlot { nextSlot += 1 }
        let endpoint = Endpoint(slot: slot, source: source, address: address, otherFamily: other, addresses: addresses)
        endpoints.append(endpoint)
        return endpoint
    }

    private static func addresses(of facts: WorkloadFacts) -> [IPAddress] {
        facts.addresses.isEmpty ? [IPAddress.loopbackV4] : facts.addresses
    }
}

/// Finds the workloads that a selector means, without holding each service against each workload.
struct WorkloadIndex {
    private struct Label: Hashable {
        let namespace: String
        let name: String
        let value: String
    }

    private var byLabel: [Label: [KnownWorkload]] = [:]

    mutating func insert(_ workload: KnownWorkload) {
        for (name, value) in workload.labels {
            byLabel[Label(namespace: workload.name.namespace, name: name, value: value), default: []].append(workload)
        }
    }

    mutating func remove(_ workload: KnownWorkload) {
        for (name, value) in workload.labels {
            let label = Label(namespace: workload.name.namespace, name: name, value: value)
            byLabel[label]?.removeAll { $0 === workload }
            if byLabel[label]?.isEmpty == true { byLabel[label] = nil }
        }
    }

    /// The workloads of `namespace` that bear every label of `selector`, in the order of their names; none for an
    /// empty selector, as a Service without one has its endpoints from elsewhere.
    func matching(_ selector: [String: String], in namespace: String) -> [KnownWorkload] {
        var smallest: [KnownWorkload]?
        for (name, value) in selector {
            guard let found = byLabel[Label(namespace: namespace, name: name, value: value)] else { return [] }
            if found.count < smallest?.count ?? .max { smallest = found }
        }
        guard var found = smallest else { return [] }
        if selector.count > 1 { found.removeAll { !$0.labels.contains(selector) } }
        // What is compiled does not depend on the order in which workloads were attached.
        found.sort { ($0.name, $0.source.id.rawValue) < ($1.name, $1.source.id.rawValue) }
        return found
    }
}

extension [String: String] {
    /// Whether every pair of `other` is among these.
    func contains(_ other: [String: String]) -> Bool { other.allSatisfy { self[$0.key] == $0.value } }
}
