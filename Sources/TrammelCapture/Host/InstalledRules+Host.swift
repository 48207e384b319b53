import TrammelCore

extension HostCapture {
    /// The part of the host's table that is about one member: its own chains and sets, and what all members share. What
    /// is wrong with another's own is not told here.
    func rules(of plan: CapturePlan, hasIPv6: Bool) throws -> InstalledRules {
        guard let table else {
            throw TrammelError(.notFound, code: "rules-not-installed", "the workload's traffic is not captured")
        }
        func isOthers(_ name: String) -> Bool {
            !name.hasPrefix(plan.place.prefix) && CapturePlace.isOfAMember(name)
        }
        var own = table
        own.sets.removeAll { isOthers($0.name) }
        own.chains.removeAll { isOthers($0.name) }
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

extension CapturePlace {
    /// Whether a chain or set of the host's table is one member's: those names begin with `w`, a number and `_`.
    static func isOfAMember(_ name: String) -> Bool {
        guard name.hasPrefix("w"), let end = name.firstIndex(of: "_") else { return false }
        return UInt32(name[name.index(after: name.startIndex)..<end]) != nil
    }
}
