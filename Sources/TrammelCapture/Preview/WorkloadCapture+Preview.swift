package import TrammelCore

/// What an attach would come to.
package struct CapturePreview: Hashable, Sendable {
    package let plan: CapturePlan
    /// Why the outbound mode was taken, in a sentence.
    package let modeReason: String
    /// What an operator should know of the namespace; nil when there is nothing.
    package let warning: String?
    package let footprint: CaptureFootprint
    /// Connections that an attach at this moment would leave uncaptured.
    package let older: Int
}

extension WorkloadCapture {
    /// What is in place for an attached workload, rules and all else.
    /// - Throws: `notFound` when the workload's traffic is not turned.
    package func footprint(of id: WorkloadID) throws -> CaptureFootprint {
        let attachment = try attachment(id)
        let rules = try rules(of: id)
        let plan = plan(of: id) ?? attachment.workload.plan
        return try inside(attachment.workload.namespace) {
            let text =
                attachment.isOnHost
                ? [rules.text, plan.closed ? nil : host.note?.text].compactMap(\.self).joined(separator: "\n\n")
                : try WorkloadCapture.rules(inPlace: plan, rules)
            return try CaptureFootprint(of: plan, rules: text, hasIPv6: attachment.capturesIPv6)
        }
    }

    /// With what the tables say about themselves.
    private static func rules(inPlace plan: CapturePlan, _ rules: InstalledRules) throws -> String {
        guard case .nftables = plan.backend else { return rules.text }
        var plan = plan
        plan.comment = try NamespaceRules.nftablesNote()
        var nft = try NftSocket()
        let found = try nft.contents(ofTable: CapturePlan.tableName)
        return [InstalledRules.text(of: plan.table, counting: found), plan.noteTable?.text].compactMap(\.self)
            .joined(separator: "\n\n")
    }

    /// Finds out what `open` and `install` would do, by the very plan that they would go by, and does none of it. The
    /// kernel is asked whether it takes the rules, as `nft --check` asks it, unless it has been already.
    ///
    /// - Throws: as `open`, save for what only opening the listeners tells: that another has their ports.
    package func preview(_ request: CaptureRequest) throws -> CapturePreview {
        if settings.backend == .iptables { try IptablesCapture.refuse(request) }
        guard case .namespace(let target) = request.target else { return try previewOnHost(request) }
        return try inside(try namespace(target)) {
            var (facts, plan, chosen) = try plan(request)
            let look = try NamespaceConnections(of: plan, families: facts.families, agent: agentIDs)
            plan.established = look.direct(since: look)
            plan = try NamespaceCapture.noting(NamespaceCapture.previousSettings(), in: plan)
            return CapturePreview(
                plan: plan, modeReason: chosen.reason, warning: chosen.warning,
                footprint: try CaptureFootprint(
                    of: plan, rules: try WorkloadCapture.rules(foreseeing: plan), hasIPv6: facts.hasIPv6),
                older: plan.established.count)
        }
    }

    private func previewOnHost(_ request: CaptureRequest) throws -> CapturePreview {
        let (facts, mode, reason) = try chooseOnHost(request)
        let (member, tables) = try host.foresee(request, mode) { ownership in
            var diagnostics = try SocketDiagnostics()
            return ownership.ports(
                among: try facts.families.flatMap {
                    try diagnostics.tcpSockets($0, states: [TCPSocketInfo.listen])
                })
        }
        let look = try NamespaceConnections(
            of: member.plan, families: facts.families, agent: agentIDs, owns: host.ownership(foreseen: member).owns)
        return CapturePreview(
            plan: member.plan, modeReason: reason, warning: nil,
            footprint: try CaptureFootprint(
                of: member.plan,
                rules: tables.map { $0.part(of: member.plan.place).textBeforeCounting }.joined(separator: "\n\n"),
                hasIPv6: facts.hasIPv6),
            older: look.direct(since: look).count)
    }

    private static func rules(foreseeing plan: CapturePlan) throws -> String {
        switch plan.backend {
        case .nftables:
            [plan.table, plan.noteTable].compactMap { $0?.textBeforeCounting }.joined(separator: "\n\n")
        case .iptables(let variant):
            try IptablesComparison.text(foreseeing: plan, IptablesPrograms.find(variant))
        }
    }
}

extension NftTable {
    /// Of a table of the host's, what is one member's and what all share.
    func part(of place: CapturePlace) -> NftTable {
        var own = self
        func isOthers(_ name: String) -> Bool { !["", place.prefix].contains(CapturePlace.prefix(of: name)) }
        own.sets.removeAll { isOthers($0.name) }
        own.chains.removeAll { isOthers($0.name) }
        return own
    }

    /// As `nft list` prints it when it has just been made.
    var textBeforeCounting: String {
        var counted = self
        for chain in chains.indices {
            for rule in chains[chain].rules.indices {
                counted.chains[chain].rules[rule].statements = chains[chain].rules[rule].statements.map {
                    $0 == .counter ? .counted(packets: 0, bytes: 0) : $0
                }
            }
        }
        return counted.text
    }
}
