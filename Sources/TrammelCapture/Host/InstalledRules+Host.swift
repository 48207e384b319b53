import TrammelCore

extension WorkloadCapture {
    /// The part of the host's table that is about one member: its own chains and sets, and what all members share. What
    /// is wrong with other members is not told here.
    func rulesOnHost(of id: WorkloadID, _ plan: CapturePlan, hasIPv6: Bool) throws -> InstalledRules {
        guard let table = host.table else {
            throw TrammelError(.notFound, code: "rules-not-installed", "the workload's traffic is not captured")
        }
        let own = try InstalledRules.part(of: table, about: plan)
        var nft = try NftSocket()
        let found = try nft.contents(ofTable: table.name)
        var drift: [String] = []
        var parts: Set<CapturePart> = []
        if let found {
            var part = found
            let theirs = { (name: String) in !own.isShared(name) && !name.hasPrefix(plan.place.prefix) }
            part.chains.removeAll { theirs($0.name) }
            for name in found.sets.keys where theirs(name) { part.sets[name] = nil }
            // A shared map is the same for everyone.
            drift = InstalledRules.differences(of: own.table, try NftContents(encoding: own.table), part)
        } else {
            drift = ["the table \(table.name) is missing: nothing is captured"]
        }
        if !drift.isEmpty { parts.insert(found == nil ? .table : .rules) }
        let routing = try InstalledRules.missingRouting(plan, hasIPv6: hasIPv6)
        if !routing.isEmpty { parts.insert(.routing) }
        return InstalledRules(
            text: InstalledRules.text(of: own.table, counting: found), drift: drift + routing, parts: parts)
    }
}

extension InstalledRules {
    fileprivate struct Part {
        let table: NftTable
        /// Whether a chain or set of this name is no single member's: those begin with `w` and a number.
        func isShared(_ name: String) -> Bool {
            guard name.hasPrefix("w"), let end = name.firstIndex(of: "_") else { return true }
            return UInt32(name[name.index(after: name.startIndex)..<end]) == nil
        }
    }

    fileprivate static func part(of table: NftTable, about plan: CapturePlan) throws -> Part {
        var part = Part(table: table)
        var own = table
        own.sets.removeAll { !part.isShared($0.name) && !$0.name.hasPrefix(plan.place.prefix) }
        own.chains.removeAll { !part.isShared($0.name) && !$0.name.hasPrefix(plan.place.prefix) }
        part = Part(table: own)
        return part
    }
}
