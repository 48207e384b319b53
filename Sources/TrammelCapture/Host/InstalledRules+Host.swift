import TrammelCore

extension WorkloadCapture {
    /// The part of the host's table that is about one member: its own chains and sets, and what all members share. What
    /// is wrong with another's own is not told here.
    func rulesOnHost(of id: WorkloadID, _ plan: CapturePlan, hasIPv6: Bool) throws -> InstalledRules {
        guard let table = host.table else {
            throw TrammelError(.notFound, code: "rules-not-installed", "the workload's traffic is not captured")
        }
        let own = table.part(of: plan.place)
        func isOthers(_ name: String) -> Bool { plan.place.isOthers(name) }
        var nft = try NftSocket()
        var found = try nft.contents(ofTable: table.name)
        found?.chains.removeAll { isOthers($0.name) }
        for name in found?.sets.keys.map({ $0 }) ?? [] where isOthers(name) { found?.sets[name] = nil }
        var drift: [String] = []
        var parts: Set<CapturePart> = []
        if let found {
            drift = InstalledRules.differences(of: own, try NftContents(encoding: own), found)
        } else {
            drift = ["the table \(table.name) is missing: nothing is captured"]
        }
        if !drift.isEmpty { parts.insert(found == nil ? .table : .rules) }
        let routing = try InstalledRules.missingRouting(plan, hasIPv6: hasIPv6)
        if !routing.isEmpty { parts.insert(.routing) }
        return InstalledRules(
            text: InstalledRules.text(of: own, counting: found), drift: drift + routing, parts: parts)
    }
}

extension NftTable {
    /// Of the host's table, what is one member's and what all share.
    func part(of place: CapturePlace) -> NftTable {
        var own = self
        own.sets.removeAll { place.isOthers($0.name) }
        own.chains.removeAll { place.isOthers($0.name) }
        return own
    }
}

extension CapturePlace {
    /// Whether a chain or set of the host's table is another member's.
    func isOthers(_ name: String) -> Bool { !name.hasPrefix(prefix) && CapturePlace.isOfAMember(name) }

    /// Whether a chain or set of the host's table is one member's: those names begin with `w`, a number and `_`.
    static func isOfAMember(_ name: String) -> Bool {
        guard name.hasPrefix("w"), let end = name.firstIndex(of: "_") else { return false }
        return UInt32(name[name.index(after: name.startIndex)..<end]) != nil
    }
}
