import TrammelCore

/// What `iptables-restore --noflush` has to be told so that the tables hold what they should, whatever of Trammel's was
/// there before. One transaction for each table.
enum IptablesRestore {
    /// Brings `wanted` about. Chains of Trammel's that it does not have are removed.
    static func install(_ wanted: IptablesRuleset, over found: IptablesDump) -> String {
        var lines: [String] = []
        for table in wanted.tables {
            lines += transaction(table, over: found[table.name.rawValue])
        }
        let names = Set(wanted.tables.map(\.name.rawValue))
        for table in found.tables where !names.contains(table.name) { lines += removal(from: table) }
        return text(lines)
    }

    /// Takes everything of Trammel's away. Empty where there is nothing.
    static func remove(from found: IptablesDump) -> String {
        // What turns traffic goes first, then what that relied on.
        let order = IptablesRuleset.TableName.allCases.reversed().map(\.rawValue)
        let known = order.compactMap { found[$0] }
        return text((known + found.tables.filter { !order.contains($0.name) }).flatMap(removal))
    }

    private static func text(_ lines: [String]) -> String {
        lines.isEmpty ? "" : lines.joined(separator: "\n") + "\n"
    }

    private static func transaction(
        _ wanted: IptablesRuleset.Table, over found: IptablesDump.Table?
    ) -> [String] {
        var lines = ["*\(wanted.name.rawValue)"]
        // A chain that is named here is emptied where it is there, and made where it is not.
        lines += wanted.chains.map { ":\($0.name) - [0:0]" }
        let names = Set(wanted.chains.map(\.name))
        let stale = (found?.chains ?? []).filter { $0.isTrammels && !names.contains($0.name) }
        for chain in wanted.chains {
            lines += chain.rules.map { "-A \(chain.name) \($0.text)" }
        }
        let builtIns = Set(wanted.jumps.map(\.builtIn))
        for chain in found?.chains ?? [] where !chain.isTrammels {
            if builtIns.contains(chain.name), isFirst(wanted.jumps(from: chain.name), in: chain) { continue }
            lines += jumps(in: chain)
        }
        for builtIn in builtIns.sorted() {
            let jumps = wanted.jumps(from: builtIn)
            if let chain = found?[builtIn], isFirst(jumps, in: chain) { continue }
            // The last one put first stands second when the next is put first.
            lines += jumps.reversed().map { "-I \(builtIn) \($0.text)" }
        }
        lines += stale.map { "-F \($0.name)" } + stale.map { "-X \($0.name)" }
        return lines + ["COMMIT"]
    }

    /// Whether the chain begins with these jumps, and has no other to a chain of Trammel's.
    static func isFirst(_ jumps: [IptablesRuleset.Jump], in chain: IptablesDump.Chain) -> Bool {
        chain.rules.prefix(jumps.count).map(\.text) == jumps.map(\.text)
            && chain.rules.dropFirst(jumps.count).allSatisfy { $0.target == nil }
    }

    /// Removes each rule of the chain that leads to one of Trammel's.
    private static func jumps(in chain: IptablesDump.Chain) -> [String] {
        chain.rules.filter { $0.target != nil }.map { "-D \(chain.name) \($0.text)" }
    }

    private static func removal(from table: IptablesDump.Table) -> [String] {
        guard table.isTrammels else { return [] }
        let own = table.chains.filter(\.isTrammels)
        return ["*\(table.name)"] + table.chains.filter { !$0.isTrammels }.flatMap(jumps)
            + own.map { "-F \($0.name)" } + own.map { "-X \($0.name)" } + ["COMMIT"]
    }
}

extension IptablesRuleset.Table {
    /// In the order in which they are to stand.
    func jumps(from builtIn: String) -> [IptablesRuleset.Jump] { jumps.filter { $0.builtIn == builtIn } }
}
