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
    /// - Throws: `TrammelError` of kind `exhausted` when a range is full, of kind `conflict` when a service names an
    ///   address that another was given. The allocator is to be thrown away then; it is a value.
    package mutating func allocate(for set: ResourceSet, now: WallTime) throws(TrammelError) -> VIPChanges {
        var wanted: [ResourceKey: [IPAddress.Family]] = [:]
        var named: [IPAddress: ResourceKey] = [:]
        for entry in set.entries.values {
            switch entry.resource.spec {
            case .service(let spec):
                switch spec.clusterIP {
                case .allocate: wanted[entry.resource.key] = spec.ipFamilies.isEmpty ? [.v4, .v6] : spec.ipFamilies
                case .addresses(let own): for address in own { named[address] = entry.resource.key }
                case .headless: break
                }
            case .serviceEntry(let spec):
                for host in spec.hosts where spec.allocatesAddress(for: host) {
                    wanted[entry.resource.key.owner(ofHost: host)] = [.v4, .v6]
                }
                for block in spec.addresses where block.prefixLength == block.base.family.bits {
                    named[block.base] = entry.resource.key
                }
            default:
                break
            }
        }
        var changes = VIPChanges()
        for record in records.values.sorted(by: { $0.address < $1.address }) {
            let isWanted = wanted[record.owner]?.contains(record.address.family) ?? false
            if !ranges.contains(where: { $0.contains(record.address) }) {
                drop(record.address, &changes)
            } else if isWanted, record.freed == nil, let other = named[record.address] {
                throw TrammelError(
                    .conflict, code: "vip-taken",
                    "\(other) names the address \(record.address), which was allocated to \(record.owner)",
                    hint: "give it an address outside of \(ranges.map(\.description).joined(separator: " and "))")
            } else if !isWanted, record.freed == nil {
                put(VIPRecord(address: record.address, owner: record.owner, freed: now), &changes)
            } else if record.freed.map({ now.nanoseconds - $0.nanoseconds >= Self.rest }) ?? false {
                drop(record.address, &changes)
            }
        }
        for (service, families) in wanted.sorted(by: { $0.key < $1.key }) {
            for family in families where address(of: service, family) == nil {
                let address = try choose(service, family, named)
                put(VIPRecord(address: address, owner: service), &changes)
            }
        }
        return changes
    }

    private func choose(
        _ service: ResourceKey, _ family: IPAddress.Family, _ named: [IPAddress: ResourceKey]
    ) throws(TrammelError) -> IPAddress {
        if let old = byOwner[service]?[family], named[old] == nil { return old }
        let range = family == .v4 ? ranges[0] : ranges[1]
        let bits = min(62, family.bits - range.prefixLength)
        let size = UInt64(1) << UInt64(bits)
        var offset = Self.hash("\(service.namespace)/\(service.name)") & (size - 1)
        // No more steps than taken addresses can stand in the way, each with the two skipped ones of its block.
        let tries = min(size, UInt64(records.count + named.count) * 2 + 1024)
        for _ in 0..<tries {
            let candidate = IPAddress.adding(offset, to: range.base)
            if Self.isUsable(candidate), records[candidate] == nil, named[candidate] == nil { return candidate }
            offset = (offset + 1) & (size - 1)
        }
        let inUse = records.values.filter { $0.freed == nil && $0.address.family == family }.count
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
        let family = record.address.family
        // Of two records of one owner, the one in use counts.
        if record.freed == nil || byOwner[record.owner]?[family] == nil {
            byOwner[record.owner, default: [:]][family] = record.address
        }
    }

    private mutating func put(_ record: VIPRecord, _ changes: inout VIPChanges) {
        keep(record)
        changes.written.append(record)
    }

    private mutating func drop(_ address: IPAddress, _ changes: inout VIPChanges) {
        guard let record = records.removeValue(forKey: address) else { return }
        if byOwner[record.owner]?[address.family] == address { byOwner[record.owner]?[address.family] = nil }
        if byOwner[record.owner]?.isEmpty == true { byOwner[record.owner] = nil }
        changes.removed.append(address)
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
