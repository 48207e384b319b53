import TrammelCore

/// What iptables holds in a network namespace, held against what it should.
struct IptablesComparison {
    /// What should be there, as `iptables-save -c` writes it, with what the kernel has counted where the rule is found.
    private(set) var text = ""
    /// One sentence for each difference.
    private(set) var drift: [String] = []

    /// In the network namespace of the calling thread.
    init(_ plan: CapturePlan, _ variant: IptablesVariant) throws {
        let programs = try IptablesPrograms.find(variant)
        var texts: [String] = []
        for family in IptablesCapture.families {
            let found = try IptablesPresence.dump(programs, family)
            var plan = plan
            plan.comment = IptablesRuleset.notes(in: found).first { NamespaceSettings(comment: $0) != nil }
            let wanted = try IptablesCapture.rules(of: plan, family)
            var shown = wanted
            shown.note(made: IptablesRuleset.made(in: found).sorted())
            texts.append(IptablesComparison.text(of: shown, counting: found, by: programs.path(family, .save)))
            let differences = IptablesComparison.differences(of: wanted, from: found)
            drift += differences.map { "\(family == .v4 ? "iptables" : "ip6tables"): \($0)" }
        }
        text = texts.joined(separator: "\n")
        var nft = try NftSocket()
        if try nft.comment(ofTable: CapturePlan.tableName) != nil {
            drift.append("nftables holds a table \(CapturePlan.tableName) too, and both act")
        }
        for other in try IptablesPresence.ofTrammels(among: IptablesPrograms.find()) where other != programs {
            drift.append("\(other.variant.name) holds chains of Trammel's too, and both act")
        }
    }

    // MARK: Differences

    static func differences(of wanted: IptablesRuleset, from found: IptablesDump) -> [String] {
        guard found.isTrammels else { return ["all chains of Trammel's are missing: nothing is captured"] }
        var drift: [String] = []
        for table in wanted.tables {
            let name = table.name.rawValue
            guard let actual = found[name] else {
                drift.append("the table \(name) is missing")
                continue
            }
            for chain in table.chains { drift += differences(of: chain, from: actual[chain.name], in: name) }
            let jumps = Set(table.jumps.map(\.builtIn)).union(actual.chains.filter { !$0.isTrammels }.map(\.name))
            for builtIn in jumps.sorted() {
                drift += differences(of: table.jumps(from: builtIn), from: actual[builtIn], in: "\(name) \(builtIn)")
            }
        }
        for table in found.tables {
            for chain in table.chains where chain.isTrammels && chain.name != IptablesRuleset.noteChain {
                let isWanted = wanted.tables.contains {
                    $0.name.rawValue == table.name && $0.chains.contains { $0.name == chain.name }
                }
                if !isWanted { drift.append("\(table.name) has a chain \(chain.name) that should not be there") }
            }
        }
        return drift
    }

    private static func differences(
        of wanted: IptablesRuleset.Chain, from found: IptablesDump.Chain?, in table: String
    ) -> [String] {
        guard let found else { return ["\(table) lacks the chain \(wanted.name)"] }
        // It is a notebook, and what it says differs from namespace to namespace.
        if wanted.name == IptablesRuleset.noteChain { return [] }
        return found.rules.map(\.text).difference(from: wanted.rules.map(\.text)).map { change in
            switch change {
            case .remove(_, let rule, _): "\(table) \(wanted.name) lacks the rule: \(rule)"
            case .insert(_, let rule, _): "\(table) \(wanted.name) has a rule that is not Trammel's: \(rule)"
            }
        }
    }

    private static func differences(
        of wanted: [IptablesRuleset.Jump], from found: IptablesDump.Chain?, in place: String
    ) -> [String] {
        let actual = found?.rules.filter { $0.target != nil }.map(\.text) ?? []
        if let found, IptablesRestore.isFirst(wanted, in: found) { return [] }
        let missing = wanted.map(\.text).filter { !actual.contains($0) }
        if !missing.isEmpty { return missing.map { "\(place) lacks the rule: \($0)" } }
        if actual.count > wanted.count {
            return ["\(place) has more rules to chains of Trammel's than it should: \(actual.joined(separator: ", "))"]
        }
        return ["\(place) begins with rules of others, which are asked before Trammel's"]
    }

    // MARK: Text

    static func text(of wanted: IptablesRuleset, counting found: IptablesDump, by program: String) -> String {
        var lines = ["# \(program.split(separator: "/").last ?? "")"]
        for table in wanted.tables {
            let actual = found[table.name.rawValue]
            lines.append("*\(table.name.rawValue)")
            lines += table.chains.map { ":\($0.name) - [0:0]" }
            for builtIn in Set(table.jumps.map(\.builtIn)).sorted() {
                for jump in table.jumps(from: builtIn) {
                    let rule = actual?[builtIn]?.rules.first { $0.text == jump.text }
                    lines.append("\(counts(rule)) -A \(builtIn) \(jump.text)")
                }
            }
            for chain in table.chains {
                let rules = actual?[chain.name]?.rules ?? []
                for (place, rule) in chain.rules.enumerated() {
                    let counted = rules.indices.contains(place) && rules[place].text == rule.text ? rules[place] : nil
                    lines.append("\(counts(counted)) -A \(chain.name) \(rule.text)")
                }
            }
            lines.append("COMMIT")
        }
        return lines.joined(separator: "\n")
    }

    /// What `IptablesCapture.install` would put there, before anything is counted.
    static func text(foreseeing plan: CapturePlan, _ programs: IptablesPrograms) throws -> String {
        try IptablesCapture.families.map { family in
            var wanted = try IptablesCapture.rules(of: plan, family)
            let found = try IptablesPresence.dump(programs, family)
            wanted.note(made: try IptablesCapture.madeByTrammel(wanted, over: found, programs))
            return text(of: wanted, counting: IptablesDump(), by: programs.path(family, .save))
        }.joined(separator: "\n")
    }

    private static func counts(_ rule: IptablesDump.Rule?) -> String { "[\(rule?.packets ?? 0):\(rule?.bytes ?? 0)]" }
}
