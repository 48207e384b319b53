import TrammelCore

/// What the host's table should hold and what it does, read once and told for each member.
struct HostRules {
    /// One member's own chains and sets, and, under the empty name, what all members share.
    private struct Part: Sendable {
        var wanted: NftTable
        var encoded = NftContents(chains: [], sets: [:])
        var found = NftContents(chains: [], sets: [:])
    }

    private var parts: [String: Part] = [:]
    private let table: String
    private let isThere: Bool

    /// Reads the table of the calling thread's network namespace.
    /// - Parameter wanted: nil while nothing should be there.
    init(_ wanted: NftTable?) throws {
        guard let wanted else {
            throw TrammelError(.notFound, code: "rules-not-installed", "the workload's traffic is not captured")
        }
        table = wanted.name
        var nft = try NftSocket()
        let found = try nft.contents(ofTable: wanted.name)
        isThere = found != nil
        var empty = wanted
        (empty.sets, empty.maps, empty.chains) = ([], [], [])
        func change(_ name: String, _ body: (inout Part) -> Void) {
            body(&parts[CapturePlace.prefix(of: name), default: Part(wanted: empty)])
        }
        let encoded = try NftContents(encoding: wanted)
        for set in wanted.sets { change(set.name) { $0.wanted.sets.append(set) } }
        for map in wanted.maps { change(map.name) { $0.wanted.maps.append(map) } }
        for chain in wanted.chains { change(chain.name) { $0.wanted.chains.append(chain) } }
        for chain in encoded.chains { change(chain.name) { $0.encoded.chains.append(chain) } }
        for (name, members) in encoded.sets { change(name) { $0.encoded.sets[name] = members } }
        for chain in found?.chains ?? [] { change(chain.name) { $0.found.chains.append(chain) } }
        for (name, members) in found?.sets ?? [:] { change(name) { $0.found.sets[name] = members } }
    }

    /// Of one member: its own chains and sets, and what all members share. What is wrong with another's own is not told.
    func of(_ plan: CapturePlan, hasIPv6: Bool) throws -> InstalledRules {
        let own = [parts[""], parts[plan.place.prefix]].compactMap(\.self)
        var drift: [String] = []
        if isThere {
            drift = own.flatMap { InstalledRules.differences(of: $0.wanted, $0.encoded, $0.found) }
        } else {
            drift = ["the table \(table) is missing: nothing is captured"]
        }
        var amiss: Set<CapturePart> = []
        if !drift.isEmpty { amiss.insert(isThere ? .rules : .table) }
        let routing = try InstalledRules.missingRouting(plan, hasIPv6: hasIPv6)
        if !routing.isEmpty { amiss.insert(.routing) }
        return InstalledRules(write: { HostRules.text(of: own) }, drift: drift + routing, parts: amiss)
    }

    private static func text(of parts: [Part]) -> String {
        guard var whole = parts.first?.wanted else { return "" }
        var found = NftContents(chains: parts[0].found.chains, sets: [:])
        for part in parts.dropFirst() {
            whole.sets += part.wanted.sets
            whole.chains += part.wanted.chains
            found.chains += part.found.chains
        }
        return InstalledRules.text(of: whole, counting: found)
    }
}

extension CapturePlace {
    /// Which member's a chain or set of the host's table is: those names begin with `w`, a number and `_`. Empty where
    /// all members share it.
    static func prefix(of name: String) -> String {
        guard name.hasPrefix("w"), let end = name.firstIndex(of: "_"),
            UInt32(name[name.index(after: name.startIndex)..<end]) != nil
        else { return "" }
        return String(name[...end])
    }
}
