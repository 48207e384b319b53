import TrammelCore

/// Puts a plan's rules into a network namespace by iptables, and takes them out. Everything here happens in the
/// network namespace of the calling thread, whose rules are the namespace's alone.
enum IptablesCapture {
    /// How often a change is tried again because the rules were not any more as they had been read.
    private static let attempts = 3

    /// What the rules of one family should be.
    static func rules(of plan: CapturePlan, _ family: IPAddress.Family) throws -> IptablesRuleset {
        try IptablesTranslation.translate(plan.table, family: family, marks: plan.marks)
    }

    /// The families that have rules: both where the kernel has IPv6 at all, since it can be switched on later.
    static var families: [IPAddress.Family] {
        (try? SystemFile.read("/proc/thread-self/net/if_inet6")) == nil ? [.v4] : [.v4, .v6]
    }

    /// The rules are as the plan says when this returns, in this variant.
    static func install(_ plan: CapturePlan, _ programs: IptablesPrograms) throws {
        for family in families {
            var wanted = try rules(of: plan, family)
            try change(programs, family) { found in
                wanted.note(made: try madeByTrammel(wanted, over: found, programs))
                return IptablesRestore.install(wanted, over: found)
            }
        }
    }

    /// Takes everything of Trammel's out of the variant's tables, and with it the tables that are there for Trammel
    /// only.
    static func remove(_ programs: IptablesPrograms) throws {
        // The family whose rules remember what was before goes last, so that a removal that fails can be done again.
        for family in [IPAddress.Family.v6, .v4] {
            var made: Set<String> = []
            try change(programs, family) { found in
                made = IptablesRuleset.made(in: found)
                return IptablesRestore.remove(from: found)
            }
            if programs.variant == .nft, !made.isEmpty { try removeEmptied(made, programs, family) }
        }
    }

    /// Chains that are there for Trammel only, and tables without any.
    private static func removeEmptied(
        _ made: Set<String>, _ programs: IptablesPrograms, _ family: IPAddress.Family
    ) throws {
        let left = try IptablesPresence.dump(programs, family)
        var nft = try NftSocket()
        let chains = try nft.iptablesChains().filter { $0.family == family }
        for table in Set(chains.map(\.table)).sorted() {
            let all = chains.filter { $0.table == table }.map(\.name)
            let emptied = all.filter { name in
                guard let chain = left[table]?[name] else { return false }
                return made.contains("\(table).\(name)") && chain.policy == "ACCEPT" && chain.rules.isEmpty
            }
            if !emptied.isEmpty { nft.remove(emptied, of: table, andIt: emptied.count == all.count, family) }
        }
    }

    /// What the rules there remember about the namespace from before, as `NamespaceSettings` wrote it. Nil where there
    /// are no rules of Trammel's.
    static func note(_ programs: IptablesPrograms) throws -> String? {
        let found = try IptablesPresence.dump(programs, .v4)
        guard found.isTrammels else { return nil }
        return IptablesRuleset.notes(in: found).first { NamespaceSettings(comment: $0) != nil } ?? ""
    }

    /// Built-in chains of iptables-nft come into being with the first rule and stay. Those that were not there before
    /// are Trammel's to remove.
    static func madeByTrammel(
        _ wanted: IptablesRuleset, over found: IptablesDump, _ programs: IptablesPrograms
    ) throws -> [String] {
        guard programs.variant == .nft else { return [] }
        var nft = try NftSocket()
        let present = Set(
            try nft.iptablesChains().filter { $0.family == wanted.family }.map { "\($0.table).\($0.name)" })
        let before = IptablesRuleset.made(in: found)
        let new = wanted.tables.flatMap { table in table.name.builtIns.map { "\(table.name.rawValue).\($0)" } }
        return before.union(new.filter { !present.contains($0) }).sorted()
    }

    private static func change(
        _ programs: IptablesPrograms, _ family: IPAddress.Family, _ text: (IptablesDump) throws -> String
    ) throws {
        for attempt in 1... {
            let found = try IptablesPresence.dump(programs, family)
            do {
                return try IptablesCommand.restore(try text(found), programs, family)
            } catch let error as TrammelError where error.code == "iptables-refused" && attempt < attempts {
                // Somebody may have changed what was to be changed; if nobody has, there is no use in trying again.
                guard try IptablesPresence.dump(programs, family).rulesOnly != found.rulesOnly else { throw error }
            }
        }
    }
}

// MARK: What the rules remember

extension IptablesRuleset {
    private static let madePrefix = "trammel: made"

    /// `trammel: made mangle.OUTPUT nat.OUTPUT`; at most 255 characters, which all there are fit into.
    mutating func note(made chains: [String]) {
        guard !chains.isEmpty else { return }
        var rule = IptablesRule()
        rule.comment = ([IptablesRuleset.madePrefix] + chains).joined(separator: " ")
        rule.target = "-j RETURN"
        edit(.mangle) { table in
            let index =
                table.chains.firstIndex { $0.name == IptablesRuleset.noteChain }
                ?? {
                    table.chains.append(.init(name: IptablesRuleset.noteChain))
                    return table.chains.count - 1
                }()
            table.chains[index].rules.removeAll { $0.comment?.hasPrefix(IptablesRuleset.madePrefix) ?? false }
            table.chains[index].rules.append(rule)
        }
    }

    static func made(in found: IptablesDump) -> Set<String> {
        let note = notes(in: found).first { $0.hasPrefix(madePrefix) } ?? ""
        return Set(note.dropFirst(madePrefix.count).split(separator: " ").map(String.init))
    }

    /// The comments of the chain that remembers.
    static func notes(in found: IptablesDump) -> [String] {
        (found[TableName.mangle.rawValue]?[noteChain]?.rules ?? []).compactMap { rule in
            let words = rule.text.split(separator: "\"", omittingEmptySubsequences: false)
            return words.count == 3 ? String(words[1]) : nil
        }
    }
}

extension IptablesDump {
    /// Without what was counted.
    var rulesOnly: [[[String]]] { tables.map { $0.chains.map { [$0.name, $0.policy] + $0.rules.map(\.text) } } }
}
