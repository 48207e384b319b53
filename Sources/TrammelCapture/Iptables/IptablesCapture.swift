import TrammelCore

/// Puts a plan's rules into a network namespace by iptables, and takes them out. Everything here happens in the
/// network namespace of the calling thread, whose rules are the namespace's alone.
enum IptablesCapture {
    /// How often a change is tried again because the rules were not any more as they had been read.
    private static let attempts = 3

    /// What the rules of one family should be.
    static func rules(of plan: CapturePlan, _ family: IPAddress.Family) throws -> IptablesRuleset {
        try IptablesTranslation.translate(plan.table, family: family, refused: plan.mark(plan.marks.refused))
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
                wanted.note(made: madeByTrammel(wanted, over: found, programs))
                return IptablesRestore.install(wanted, over: found)
            }
        }
    }

    /// Takes everything of Trammel's out of the variant's tables, and with it the tables that are there for Trammel
    /// only.
    static func remove(_ programs: IptablesPrograms) throws {
        // The family whose rules remember what was before goes last, so that a removal that fails can be done again.
        for family in [IPAddress.Family.v6, .v4] {
            var made: [String] = []
            try change(programs, family) { found in
                made = IptablesRuleset.made(in: found)
                return IptablesRestore.remove(from: found)
            }
            guard programs.variant == .nft, !made.isEmpty else { continue }
            let left = try IptablesPresence.dump(programs, family)
            var nft = try NftSocket()
            let chains = try nft.iptablesChains().filter { $0.family == family }
            for table in left.tables where made.contains(table.name) && table.isEmpty {
                nft.remove(emptied: table.name, chains.filter { $0.table == table.name }.map(\.name), family)
            }
        }
    }

    /// What the rules there remember about the namespace from before, as `NamespaceSettings` wrote it. Nil where there
    /// are no rules of Trammel's.
    static func note(_ programs: IptablesPrograms) throws -> String? {
        let found = try IptablesPresence.dump(programs, .v4)
        guard found.isTrammels else { return nil }
        return IptablesRuleset.notes(in: found).first { NamespaceSettings(comment: $0) != nil } ?? ""
    }

    /// Tables of iptables-nft come into being with the first rule and stay. Those that were not there before are
    /// Trammel's to remove.
    private static func madeByTrammel(
        _ wanted: IptablesRuleset, over found: IptablesDump, _ programs: IptablesPrograms
    ) -> [String] {
        guard programs.variant == .nft else { return [] }
        let before = IptablesRuleset.made(in: found)
        return wanted.tables.map(\.name.rawValue).filter { found[$0] == nil || before.contains($0) }
            + before.filter { name in !wanted.tables.contains { $0.name.rawValue == name } }
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

    /// `trammel: made filter mangle`
    mutating func note(made tables: [String]) {
        guard !tables.isEmpty else { return }
        var rule = IptablesRule()
        rule.comment = ([IptablesRuleset.madePrefix] + tables).joined(separator: " ")
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

    static func made(in found: IptablesDump) -> [String] {
        notes(in: found).first { $0.hasPrefix(madePrefix) }.map {
            $0.dropFirst(madePrefix.count).split(separator: " ").map(String.init)
        } ?? []
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
