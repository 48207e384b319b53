package import TrammelCore

/// The rules of a workload's network namespace: what should be there, what is, and where the two part.
package struct InstalledRules: Sendable {
    /// The table that should be there, in the words of nft(8); counters show what the kernel has counted. Written when
    /// it is asked for.
    package var text: String { write() }
    let write: @Sendable () -> String
    /// One sentence for each thing that is not as it should be; empty when all is well.
    package let drift: [String]
    /// What of the capture those are about.
    let parts: Set<CapturePart>
}

extension WorkloadCapture {
    /// The same for many, each as it would be alone: members of the host share one reading of their table.
    package func rules(of ids: [WorkloadID]) -> [(id: WorkloadID, rules: Result<InstalledRules, any Error>)] {
        var onHost: [String: HostRules] = [:]
        return ids.map { id in
            let rules = Result {
                let attachment = try attachment(id)
                guard attachment.isOnHost, let plan = attachment.installed.withLock({ $0 }) else {
                    return try self.rules(of: id)
                }
                let table = host.table(of: id)
                let reading = try onHost[table?.name ?? ""] ?? HostRules(table)
                if let table { onHost[table.name] = reading }
                return try reading.of(plan, hasIPv6: attachment.capturesIPv6)
            }
            return (id, rules)
        }
    }

    /// Compares a workload's namespace with what `install` put there.
    /// - Throws: `notFound` when the workload's traffic is not turned.
    package func rules(of id: WorkloadID) throws -> InstalledRules {
        let attachment = try attachment(id)
        guard let plan = attachment.installed.withLock({ $0 }) else {
            throw TrammelError(.notFound, code: "rules-not-installed", "the workload's traffic is not captured")
        }
        if attachment.isOnHost { return try HostRules(host.table(of: id)).of(plan, hasIPv6: attachment.capturesIPv6) }
        return try inside(attachment.workload.namespace) {
            try InstalledRules(comparing: plan, hasIPv6: attachment.capturesIPv6)
        }
    }
}

extension InstalledRules {
    /// In the network namespace of the calling thread.
    init(comparing plan: CapturePlan, hasIPv6: Bool) throws {
        if case .iptables(let variant) = plan.backend {
            let comparison = try IptablesComparison(plan, variant)
            write = { comparison.text }
            let routing = try InstalledRules.missingRouting(plan, hasIPv6: hasIPv6)
            let settings = InstalledRules.missingSettings(plan.outboundMode)
            drift = comparison.drift + routing + settings
            let found: [(CapturePart, [String])] = [
                (.rules, comparison.drift), (.routing, routing), (.sysctl, settings),
            ]
            parts = Set(found.filter { !$0.1.isEmpty }.map(\.0))
            return
        }
        let table = plan.table
        let wanted = try NftContents.expected(of: table)
        var nft = try NftSocket()
        let found = try nft.contents(ofTable: table.name)
        var drift: [String] = []
        var parts: Set<CapturePart> = []
        func add(_ part: CapturePart, _ sentences: [String]) {
            guard !sentences.isEmpty else { return }
            drift += sentences
            parts.insert(part)
        }
        if let found {
            add(.rules, InstalledRules.differences(of: table, wanted, found))
        } else {
            add(.table, ["the table \(table.name) is missing: nothing is captured"])
        }
        if table.isOwned, try nft.comment(ofTable: CapturePlan.noteName) == nil {
            add(
                .table, ["the table \(CapturePlan.noteName), which notes the sysctls from before, is missing"])
        }
        add(.routing, try InstalledRules.missingRouting(plan, hasIPv6: hasIPv6))
        add(.sysctl, InstalledRules.missingSettings(plan.outboundMode))
        write = { InstalledRules.text(of: table, counting: found) }
        self.drift = drift
        self.parts = parts
    }

    static func differences(
        of table: NftTable, _ wanted: NftContents, _ found: NftContents
    ) -> [String] {
        var drift: [String] = []
        let chains = found.chainsByName
        for (chain, expected) in zip(table.chains, wanted.chains) {
            guard let actual = chains[chain.name] else {
                drift.append("the chain \(chain.name) is missing")
                continue
            }
            if actual.hook != expected.hook {
                drift.append("the chain \(chain.name) is of \(actual.hook), expected \(expected.hook)")
            }
            // Order matters, so a rule that moved counts as one missing and one too many.
            for change in actual.rules.difference(from: expected.rules) {
                switch change {
                case .remove(let offset, _, _):
                    drift.append("the chain \(chain.name) lacks the rule: \(chain.rules[offset].text)")
                case .insert(_, let rule, _):
                    drift.append(
                        "the chain \(chain.name) has a rule that is not Trammel's: "
                            + rule.expressions.joined(separator: "; "))
                }
            }
        }
        let names = Set(table.chains.map(\.name))
        for chain in found.chains where !names.contains(chain.name) {
            drift.append("there is a chain \(chain.name) that is not Trammel's")
        }
        for (name, members) in wanted.sets.sorted(by: { $0.key < $1.key })
        where found.sets[name] != members && !(table.remembers(in: name) && found.sets[name] != nil) {
            drift.append(
                found.sets[name] == nil
                    ? "the set \(name) is missing" : "the set \(name) has other members than it should")
        }
        for name in found.sets.keys.sorted() where wanted.sets[name] == nil {
            drift.append("there is a set \(name) that is not Trammel's")
        }
        return drift
    }

    private static func missingSettings(_ mode: CaptureMode) -> [String] {
        NamespaceSettings.missing(mode).map { name, value in "the sysctl net/\(name) is \(value), expected 1" }
    }

    static func missingRouting(_ plan: CapturePlan, hasIPv6: Bool) throws -> [String] {
        var route = try RouteSocket()
        let rules = Set(try route.markRules())
        let routes = try route.ownRoutes()
        var drift: [String] = []
        for family in hasIPv6 ? [IPAddress.Family.v4, .v6] : [.v4] {
            let word = family == .v4 ? "IPv4" : "IPv6"
            for rule in NamespaceCapture.markRules(
                plan.settings, marks: plan.routedMarks, inside: plan.request.outboundFromInterfaces, family)
            where !rules.contains(rule) {
                drift.append(
                    "the \(word) routing rule for mark 0x\(String(rule.mark.value, radix: 16)) to table \(rule.table) "
                        + "is missing")
            }
            if !routes.contains(where: {
                $0.isLocal && $0.family == family && $0.table == plan.settings.routingTable
            }) {
                drift.append("the \(word) route of table \(plan.settings.routingTable) is missing")
            }
        }
        let uncovered = try NamespaceCapture.uncovered(
            plan.settings.virtualRanges, route.links(), hasIPv6: hasIPv6, &route)
        drift += uncovered.map { "there is no route to the virtual addresses \($0.range)" }
        return drift
    }

    /// The table's text with `packets N bytes N` after each counter whose rule is found in its place.
    static func text(of table: NftTable, counting found: NftContents?) -> String {
        var counted = table
        let chains = found?.chainsByName ?? [:]
        for (index, chain) in table.chains.enumerated() {
            guard let actual = chains[chain.name],
                actual.rules.count == chain.rules.count
            else { continue }
            for (place, rule) in actual.rules.enumerated() {
                guard let packets = rule.packets, let bytes = rule.bytes else { continue }
                counted.chains[index].rules[place].statements = chain.rules[place].statements.map {
                    $0 == .counter ? .counted(packets: packets, bytes: bytes) : $0
                }
            }
        }
        return counted.text
    }
}
