import TrammelCore

/// The table of a network namespace that is one workload's.
extension CapturePlan {
    var table: NftTable {
        var table = NftTable(name: CapturePlan.tableName, comment: comment)
        table.isOwned = !closed && phase == .capturing
        table.sets = sets
        if phase == .draining, !isSettling {
            table.chains = drainingChains
            return table
        }
        table.chains = [prerouting] + datagramChains
        switch outboundMode {
        case .redirect:
            table.chains += [directHits, redirectOutput] + [datagramOutput].compactMap { $0 }
        case .tproxy:
            // A chain has to be there before a rule can jump to it; the encoder makes all chains first.
            table.chains += [fromApplication, claim, routeOutput]
        }
        if capturesInside { table.chains.insert(fromInside, at: 0) }
        if capturesInside, judgesDatagrams { table.chains.insert(datagramsFromInside, at: 0) }
        return table
    }

    /// What keeps the note where the table goes with the agent, and the note in its comment would go too; nil elsewhere.
    var noteTable: NftTable? {
        table.isOwned ? NftTable(name: CapturePlan.noteName, comment: comment) : nil
    }

    private var prerouting: NftChain {
        var chain = NftChain(
            name: "pre", hook: NftChain.Hook(kind: .filter, point: .prerouting, priority: -150))
        if outboundMode == .tproxy {
            chain.rules.append(
                NftRule(.loopbackInterface(true), .mark(mark(marks.outbound)), do: .jump(fromApplication.name)))
        }
        chain.rules += datagramTurns
        chain.rules.append(NftRule(.loopbackInterface(true), do: .accept))
        chain.rules += passingRules
        if outboundMode == .redirect {
            // Only where the rules switch tracking on anyhow; there, an invalid packet would be answered with a reset.
            chain.rules.append(NftRule(.conntrackInvalid, do: .counter, .drop))
        }
        chain.rules += senderRules
        // First packets only: a connection that is left alone may have one of these numbers for its own port.
        chain.rules.append(
            NftRule(
                .tcpSYN, .ports(.destination, .tcp, settings.ports.all), do: .rejectWithReset,
                comment: "the agent's ports are not for direct use"))
        chain.rules += inboundRules
        return chain
    }

    /// Before NAT, because a NAT chain cannot refuse: a connection to a listener that nothing turned there.
    private var directHits: NftChain {
        NftChain(
            name: "guard", hook: NftChain.Hook(kind: .filter, point: .output, priority: -150),
            rules: [directHitRefusal])
    }

    private var redirectOutput: NftChain {
        NftChain(
            name: "out", hook: NftChain.Hook(kind: .nat, point: .output, priority: -101),
            rules: [agentExemption] + outboundRules)
    }

    private var routeOutput: NftChain {
        var chain = NftChain(name: "out", hook: NftChain.Hook(kind: .route, point: .output, priority: -150))
        chain.rules.append(agentExemption)
        // Early, since half the packets of a call carried here are such replies.
        chain.rules.append(
            NftRule(.tcpNotSYN, .mark(mark(marks.upstream)), do: .accept, comment: "replies to the agent"))
        if !inboundExemptions.isEmpty {
            chain.rules.append(
                NftRule(.tcpNotSYN, .mark(mark(marks.passed)), do: .accept, comment: "replies to whom is not captured"))
        }
        chain.rules += outboundRules
        return chain
    }
}
