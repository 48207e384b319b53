package import TrammelCore

/// An address that is, or was, a service's.
package struct VIPRecord: Sendable, Equatable {
    package let address: IPAddress
    package let owner: ResourceKey
    /// When it was given back; nil while it is in use.
    package let freed: WallTime?

    package init(address: IPAddress, owner: ResourceKey, freed: WallTime? = nil) {
        self.address = address
        self.owner = owner
        self.freed = freed
    }
}

/// What the store has to write after an allocation.
package struct VIPChanges: Sendable, Equatable {
    package var written: [VIPRecord] = []
    package var removed: [IPAddress] = []

    package init() {}

    package var isEmpty: Bool { written.isEmpty && removed.isEmpty }
}

/// Gives services that name no address of their own a virtual one, the same for as long as they live.
///
/// The place in the range follows from a hash of the service's name, so that two agents, or one that has lost its
/// store, mostly come to the same address. An address given back is kept for its owner, and from everybody else for an
/// hour, so that a client's cached answer does not lead it to another service.
package struct VIPAllocator: Sendable {
    /// How long an address that was given back is given to nobody else.
    package static let rest: Int64 = 3_600_000_000_000

    private let ranges: [CIDR]
    private var records: [IPAddress: VIPRecord] = [:]
    private var byOwner: [ResourceKey: [IPAddress.Family: IPAddress]] = [:]
    /// What each resource holds, so that a change costs what it touches and not what there is.
    private var claims: [ResourceKey: VIPClaims] = [:]
    /// The resources that want addresses for an owner.
    private var wanting: [ResourceKey: [ResourceKey: [IPAddress.Family]]] = [:]
    /// Who has named an address itself.
    private var named: [IPAddress: ResourceKey] = [:]
    /// Given back and not yet free for others, and those of ranges that are no more.
    private var leaving: Set<IPAddress> = []

    package init(ranges: AgentSettings.VIPRanges, records: [VIPRecord] = []) {
        self.ranges = [ranges.ipv4, ranges.ipv6]
        for record in records { keep(record) }
    }

    /// The address of a service in a family; nil where it has none.
    package func address(of service: ResourceKey, _ family: IPAddress.Family) -> IPAddress? {
        guard let address = byOwner[service]?[family], records[address]?.freed == nil else { return nil }
        return address
    }

    /// IPv4 before IPv6.
    package func addresses(of service: ResourceKey) -> [IPAddress] {
        [.v4, .v6].compactMap { address(of: service, $0) }
    }

    /// Gives every service of `set` that wants one an address, and takes back those of services that are gone.
    /// - Returns: what changed, to be stored together with the apply that caused it.
    /// - Throws: as `plan`; the allocator is as it was then.
    package mutating func allocate(for set: ResourceSet, now: WallTime) throws(TrammelError) -> VIPChanges {
        let plan = try plan(
            written: set.entries.values.map(\.resource), removed: claims.keys.filter { set.entries[$0] == nil },
            now: now)
        take(plan)
        return plan.changes
    }

    /// What follows from a change of resources; nothing is done until `take`.
    /// - Throws: `TrammelError` of kind `exhausted` when a range is full, of kind `conflict` when a service names an
    ///   address that another was given.
    package func plan(
        written: [Resource], removed: [ResourceKey], now: WallTime
    ) throws(TrammelError) -> VIPPlan {
        var plan = VIPPlan()
        var touched: Set<ResourceKey> = []
        for key in removed where claims[key] != nil { plan.claims[key] = VIPClaims() }
        for resource in written { plan.claims[resource.key] = VIPClaims(resource) }
        var freshlyNamed: [IPAddress: ResourceKey] = [:]
        for (key, next) in plan.claims {
            let former = claims[key]
            if former == next { continue }
            touched.formUnion(former?.wanted.keys.map(\.self) ?? [])
            touched.formUnion(next.wanted.keys)
            for address in next.named { freshlyNamed[address] = key }
        }
        func isNamed(_ address: IPAddress) -> Bool {
            if freshlyNamed[address] != nil { return true }
            guard let owner = named[address] else { return false }
            return plan.claims[owner]?.named.contains(address) ?? true
        }
        var wanted: [ResourceKey: Set<IPAddress.Family>] = [:]
        for owner in touched {
            wanted[owner] = []
            for (key, former) in wanting[owner] ?? [:] where plan.claims[key] == nil {
                wanted[owner, default: []].formUnion(former)
            }
        }
        for claims in plan.claims.values {
            for (owner, families) in claims.wanted where wanted[owner] != nil {
                wanted[owner, default: []].formUnion(families)
            }
        }
        for owner in touched.sorted() {
            for (family, address) in byOwner[owner] ?? [:] where records[address]?.freed == nil {
                guard wanted[owner]?.contains(family) != true, ranges.contains(where: { $0.contains(address) }) else {
                    continue
                }
                plan.changes.written.append(VIPRecord(address: address, owner: owner, freed: now))
            }
        }
        for (address, key) in freshlyNamed.sorted(by: { $0.key < $1.key }) {
            guard let record = records[address], record.freed == nil,
                wanted[record.owner].map({ $0.contains(address.family) }) ?? true
            else { continue }
            throw TrammelError(
                .conflict, code: "vip-taken",
                "\(key) names the address \(address), which was allocated to \(record.owner)",
                hint: "give it an address outside of \(ranges.map(\.description).joined(separator: " and "))")
        }
        for address in leaving.sorted() {
            guard let record = records[address] else { continue }
            let isOver = record.freed.map { now.nanoseconds - $0.nanoseconds >= Self.rest } ?? false
            let isForeign = !ranges.contains { $0.contains(address) }
            if isForeign || isOver && wanted[record.owner]?.contains(address.family) != true {
                plan.changes.removed.append(address)
            }
        }
        let dropped = Set(plan.changes.removed)
        var taken: Set<IPAddress> = []
        for (owner, families) in wanted.sorted(by: { $0.key < $1.key }) {
            for family in [IPAddress.Family.v4, .v6] where families.contains(family) {
                if let own = address(of: owner, family), !dropped.contains(own) { continue }
                let chosen = try choose(owner, family, dropped, planned: taken) {
                    isNamed($0) || taken.contains($0)
                }
                taken.insert(chosen)
                plan.changes.written.append(VIPRecord(address: chosen, owner: owner))
            }
        }
        return plan
    }

    /// Does what was planned, after no other change.
    package mutating func take(_ plan: VIPPlan) {
        for (key, next) in plan.claims {
            for owner in claims[key]?.wanted.keys.map(\.self) ?? [] {
                wanting[owner]?[key] = nil
                if wanting[owner]?.isEmpty == true { wanting[owner] = nil }
            }
            for address in claims[key]?.named ?? [] where named[address] == key { named[address] = nil }
            for (owner, families) in next.wanted { wanting[owner, default: [:]][key] = families }
            for address in next.named { named[address] = key }
            claims[key] = next.isEmpty ? nil : next
        }
        for address in plan.changes.removed { drop(address) }
        for record in plan.changes.written { keep(record) }
    }

    private func choose(
        _ service: ResourceKey, _ family: IPAddress.Family, _ dropped: Set<IPAddress>, planned: Set<IPAddress>,
        _ isTaken: (IPAddress) -> Bool
    ) throws(TrammelError) -> IPAddress {
        if let old = byOwner[service]?[family], !dropped.contains(old), !isTaken(old) { return old }
        let range = family == .v4 ? ranges[0] : ranges[1]
        let bits = min(62, family.bits - range.prefixLength)
        let size = UInt64(1) << UInt64(bits)
        var offset = Self.hash("\(service.namespace)/\(service.name)") & (size - 1)
        // No more steps than taken addresses can stand in the way, each with the two skipped ones of its block.
        let tries = min(size, UInt64(records.count + named.count) * 2 + 131_072)
        for _ in 0..<tries {
            let candidate = IPAddress.adding(offset, to: range.base)
            if Self.isUsable(candidate), records[candidate] == nil || dropped.contains(candidate), !isTaken(candidate) {
                return candidate
            }
            offset = (offset + 1) & (size - 1)
        }
        let inUse =
            records.values.filter { $0.freed == nil && $0.address.family == family && !planned.contains($0.address) }
            .count
            + planned.filter { $0.family == family }.count
        let resting = records.values.filter { $0.freed != nil && $0.address.family == family }.count
        throw TrammelError(
            .exhausted, code: "vip-exhausted",
            "no address is left in \(range) for \(service): \(inUse) are in use, \(resting) were given back within the last hour",
            hint: "set a wider range as vips in trammeld.yaml, or name a clusterIP")
    }

    /// Not a network's or broadcast address of any block that somebody might take it for.
    private static func isUsable(_ address: IPAddress) -> Bool {
        let last = address.low & (address.family == .v4 ? 0xFF : 0xFFFF)
        return last != 0 && last != (address.family == .v4 ? 0xFF : 0xFFFF)
    }

    /// FNV-1a, folded; the same on every machine, unlike Swift's own hash.
    private static func hash(_ text: String) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        return hash ^ hash >> 32
    }

    private mutating func keep(_ record: VIPRecord) {
        records[record.address] = record
        let isForeign = !ranges.contains { $0.contains(record.address) }
        if record.freed == nil && !isForeign { leaving.remove(record.address) } else { leaving.insert(record.address) }
        let family = record.address.family
        // Of two records of one owner, the one in use counts.
        if record.freed == nil || byOwner[record.owner]?[family] == nil {
            byOwner[record.owner, default: [:]][family] = record.address
        }
    }

    private mutating func drop(_ address: IPAddress) {
        leaving.remove(address)
        guard let record = records.removeValue(forKey: address) else { return }
        if byOwner[record.owner]?[address.family] == address { byOwner[record.owner]?[address.family] = nil }
        if byOwner[record.owner]?.isEmpty == true { byOwner[record.owner] = nil }
    }
}

/// A change of the addresses that is worked out and not yet made.
package struct VIPPlan: Sendable {
    /// What the store has to write.
    package fileprivate(set) var changes = VIPChanges()
    /// What the resources that have changed hold from here on.
    fileprivate var claims: [ResourceKey: VIPClaims] = [:]

    package init() {}
}

/// What one resource asks of the allocator.
private struct VIPClaims: Sendable, Equatable {
    /// Families by owner.
    var wanted: [ResourceKey: [IPAddress.Family]] = [:]
    var named: [IPAddress] = []

    var isEmpty: Bool { wanted.isEmpty && named.isEmpty }

    init() {}

    init(_ resource: Resource) {
        switch resource.spec {
        case .service(let spec):
            switch spec.clusterIP {
            case .allocate: wanted[resource.key] = spec.ipFamilies.isEmpty ? [.v4, .v6] : spec.ipFamilies
            case .addresses(let own): named = own
            case .headless: break
            }
        case .serviceEntry(let spec):
            for host in spec.hosts where spec.allocatesAddress(for: host) {
                wanted[resource.key.owner(ofHost: host)] = [.v4, .v6]
            }
            named = spec.addresses.filter { $0.prefixLength == $0.base.family.bits }.map(\.base)
        default:
            break
        }
    }
}

extension IPAddress {
    /// The address `offset` past `base`, whose low bits are clear.
    fileprivate static func adding(_ offset: UInt64, to base: IPAddress) -> IPAddress {
        switch base.family {
        case .v4: IPAddress(v4: UInt32(truncatingIfNeeded: base.low | offset))
        case .v6: IPAddress(v6: base.high, base.low | offset)
        }
    }
}
