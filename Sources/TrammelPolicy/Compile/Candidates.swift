import TrammelConfig
import TrammelCore

/// An endpoint of a service's port, before subsets choose among them.
struct Candidate {
    let endpoint: Endpoint
    let isReady: Bool
    /// Relative to the others, above zero.
    let weight: UInt32
}

/// Everything that endpoints are made of, kept from one compile to the next.
struct EndpointSources {
    var workloads = WorkloadMemory()
    private(set) var entries = LabelIndex<KnownEntry>()
    private var entriesByKey: [ResourceKey: KnownEntry] = [:]
    /// Those that are at a name, by it.
    private var entriesByName: [String: [KnownEntry]] = [:]
    /// By the Service that each slice is of, in the order of their names.
    private var slices: [ResourceKey: [(name: String, spec: EndpointSliceSpec)]] = [:]
    var resolved: [String: ResolvedAddresses] = [:]
    var slots = EndpointSlots()

    mutating func put(_ entry: KnownEntry, _ key: ResourceKey) {
        entriesByKey[key] = entry
        entries.insert(entry)
        if case .host(let name) = entry.spec.address { entriesByName[name, default: []].append(entry) }
    }

    mutating func removeEntry(_ key: ResourceKey) -> KnownEntry? {
        guard let entry = entriesByKey.removeValue(forKey: key) else { return nil }
        entries.remove(entry)
        if case .host(let name) = entry.spec.address {
            entriesByName[name]?.removeAll { $0 === entry }
            if entriesByName[name]?.isEmpty == true { entriesByName[name] = nil }
        }
        return entry
    }

    /// The WorkloadEntries at names that do not resolve to what they did.
    func entries(movedBy resolved: [String: ResolvedAddresses]) -> [KnownEntry] {
        entriesByName.lazy.filter { self.resolved[$0.key] != resolved[$0.key] }.flatMap(\.value)
    }

    mutating func putSlice(_ name: String, _ spec: EndpointSliceSpec, of service: ResourceKey) {
        var known = slices[service] ?? []
        known.insert((name, spec), at: known.firstIndex { $0.name > name } ?? known.endIndex)
        slices[service] = known
    }

    mutating func removeSlice(_ name: String, of service: ResourceKey) {
        slices[service]?.removeAll { $0.name == name }
        if slices[service]?.isEmpty == true { slices[service] = nil }
    }

    /// The endpoints of each port of `shape` that is carried over TCP, in a stable order.
    /// - Parameter former: of the last compile; what is still the same place stays the same endpoint.
    mutating func candidates(of shape: ServiceShape, ports: [ServiceSpec.Port], former: [[Candidate]]) -> [[Candidate]]
    {
        var gathering = Gathering(known: EndpointSources.bare(in: former), namespace: shape.identity.namespace)
        let found = ports.map { port in
            gathering.seen.removeAll(keepingCapacity: true)
            return candidates(of: shape, port, &gathering)
        }
        for endpoint in gathering.known.values where !gathering.used.contains(endpoint.serial) {
            slots.giveBack(endpoint.slot)
        }
        return found
    }

    /// Takes back what belonged to a service that is no more.
    mutating func forget(_ former: [[Candidate]]) {
        for endpoint in EndpointSources.bare(in: former).values { slots.giveBack(endpoint.slot) }
    }

    private static func bare(in candidates: [[Candidate]]) -> [Place: Endpoint] {
        var known: [Place: Endpoint] = [:]
        for candidate in candidates.joined() where candidate.endpoint.source == nil {
            known[Place(address: candidate.endpoint.address, identity: candidate.endpoint.identity)] =
                candidate.endpoint
        }
        return known
    }

    /// A bare address and who is there.
    private struct Place: Hashable {
        let address: IPEndpoint
        let identity: WorkloadIdentity?
    }

    /// The work on one service.
    private struct Gathering {
        let known: [Place: Endpoint]
        let namespace: String
        /// The serials of those of `known` that are still in use.
        var used: Set<UInt64> = []
        var made: [Place: Endpoint] = [:]
        /// The serials of the endpoints that the port has already: a place that is named twice is one endpoint.
        var seen: Set<UInt64> = []
    }

    private mutating func candidates(
        of shape: ServiceShape, _ port: ServiceSpec.Port, _ gathering: inout Gathering
    ) -> [Candidate] {
        var found: [Candidate] = []
        switch shape.backing {
        case .asked:
            break
        case .selected(let selector):
            select(selector, port, &gathering, into: &found)
            if shape.origin.key.kind == .service {
                for slice in slices[shape.origin.key] ?? [] { take(slice.spec, port, &gathering, into: &found) }
            }
        case .listed(let entries):
            for entry in entries {
                take(entry, named: "", port, first: shape.takesFirstAddress, &gathering, into: &found)
            }
        case .resolved:
            for address in addresses(of: shape.identity.host, first: shape.takesFirstAddress) {
                add(address, port.targetPort, nil, &gathering, into: &found)
            }
        }
        return found
    }

    private mutating func select(
        _ selector: [String: String], _ port: ServiceSpec.Port, _ gathering: inout Gathering,
        into found: inout [Candidate]
    ) {
        // What is compiled does not depend on the order in which workloads were attached.
        let selected = workloads.index.matching(selector, in: gathering.namespace)
            .sorted { ($0.name, $0.source.id.rawValue) < ($1.name, $1.source.id.rawValue) }
        for workload in selected {
            let target = workload.targetPort(of: port)
            add(
                Candidate(
                    endpoint: workload.endpoint(port: target, slots: &slots),
                    // Whether anybody listens is known of TCP.
                    isReady: port.transport == .udp || !workload.notListening.contains(target), weight: 1), &gathering,
                into: &found)
        }
        for entry in entries.matching(selector, in: gathering.namespace).sorted(by: { $0.name < $1.name }) {
            take(entry.spec, named: entry.name, port, first: false, &gathering, into: &found)
        }
    }

    private mutating func take(
        _ entry: WorkloadEntrySpec, named name: String, _ port: ServiceSpec.Port, first: Bool,
        _ gathering: inout Gathering, into found: inout [Candidate]
    ) {
        let target = port.name.flatMap { entry.ports[$0] } ?? port.targetPort
        let identity =
            name.isEmpty && entry.labels.isEmpty && entry.serviceAccount.isEmpty
            ? nil
            : WorkloadIdentity(
                name: WorkloadName(namespace: gathering.namespace, name: name),
                serviceAccount: entry.serviceAccount.isEmpty ? "default" : entry.serviceAccount, labels: entry.labels)
        switch entry.address {
        case .ip(let address):
            add(address, target, identity, weight: max(1, entry.weight), &gathering, into: &found)
        case .host(let name):
            for address in addresses(of: name, first: first) {
                add(address, target, identity, weight: max(1, entry.weight), &gathering, into: &found)
            }
        }
    }

    private mutating func take(
        _ slice: EndpointSliceSpec, _ port: ServiceSpec.Port, _ gathering: inout Gathering,
        into found: inout [Candidate]
    ) {
        guard let target = slice.port(of: port) else { return }
        for endpoint in slice.endpoints {
            guard let address = endpoint.addresses.first else { continue }
            add(address, target, nil, isReady: endpoint.isReady && !endpoint.isTerminating, &gathering, into: &found)
        }
    }

    private func addresses(of name: String, first: Bool) -> ArraySlice<IPAddress> {
        guard let resolved = resolved[name] else { return [] }
        return first ? resolved.first.map { [$0] } ?? [] : resolved.ofOneFamily
    }

    /// An address, which is the attached workload that bears it where there is one.
    private mutating func add(
        _ address: IPAddress, _ port: UInt16, _ identity: WorkloadIdentity?, weight: UInt32 = 1, isReady: Bool = true,
        _ gathering: inout Gathering, into found: inout [Candidate]
    ) {
        if let workload = workloads.workload(at: address, for: gathering.namespace) {
            let endpoint = workload.endpoint(port: port, slots: &slots)
            return add(
                Candidate(
                    endpoint: endpoint, isReady: isReady && !workload.notListening.contains(port), weight: weight),
                &gathering, into: &found)
        }
        let place = Place(address: IPEndpoint(address, port), identity: identity)
        let endpoint: Endpoint
        if let known = gathering.known[place] ?? gathering.made[place] {
            endpoint = known
        } else {
            endpoint = Endpoint(
                slot: slots.take(), serial: slots.serial(), address: place.address, described: identity)
            gathering.made[place] = endpoint
        }
        gathering.used.insert(endpoint.serial)
        add(Candidate(endpoint: endpoint, isReady: isReady, weight: weight), &gathering, into: &found)
    }

    private func add(_ candidate: Candidate, _ gathering: inout Gathering, into found: inout [Candidate]) {
        if gathering.seen.insert(candidate.endpoint.serial).inserted { found.append(candidate) }
    }
}

extension EndpointSliceSpec {
    /// The endpoints' port behind a port of the service: the one of its name, or the only one where neither has a name.
    fileprivate func port(of port: ServiceSpec.Port) -> UInt16? {
        let candidates = ports.lazy.filter { $0.transport == port.transport }
        return candidates.first { ($0.name ?? "") == (port.name ?? "") }?.port
    }
}
