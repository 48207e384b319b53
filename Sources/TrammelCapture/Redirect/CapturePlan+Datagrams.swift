import TrammelCore

/// What becomes of UDP other than DNS.
///
/// What a workload sends by itself is judged packet by packet, wherever the rules stand. What answers somebody who has
/// sent first goes where it was going. Under redirect and on the host conntrack knows which that is; under tproxy, whose
/// namespaces track nothing, the rules remember who has sent, each for a while.
extension CapturePlan {
    /// Whether the agent carries the workload's datagrams, and so listens for them.
    package var relaysDatagrams: Bool { request.udp == .proxy }
    /// Whether anything becomes of them. A workload that is being let go of sends by itself at once: a flow of datagrams
    /// has no end to wait for.
    var judgesDatagrams: Bool { phase == .capturing && (request.udp != .pass || request.quic == .refuse) }
    private var looksAtReplies: Bool { judgesDatagrams && request.udp != .pass }
    var turnsDatagrams: Bool { judgesDatagrams && relaysDatagrams }
    private var knowsReplies: Bool { outboundMode == .redirect || place.hostIndex != nil }
    private var remembersSenders: Bool { looksAtReplies && !knowsReplies }

    /// Seconds for which somebody who has sent to the workload is answered; conntrack's for a flow both ways is less.
    private static let memory: UInt32 = 180
    private static let rememberedMost: UInt32 = 65535

    /// The marks that lead packets to lo.
    var routedMarks: [UInt32] {
        var found = [marks.upstream]
        // In the host's namespace, which other workloads share, in any mode.
        if outboundMode == .tproxy || place.hostIndex != nil { found.append(marks.outbound) }
        if relaysDatagrams { found.append(marks.datagrams) }
        return found
    }

    // MARK: Sets

    private enum DatagramSet {
        static let allowed = "udp_allowed"
        static let allowedPorts = "udp_allowed_ports"
        static let senders = "udp_senders"
    }

    private var allowedBlocks: [CIDR] { request.udpAllowed.filter { $0.port == nil }.map(\.block) }
    private var allowedPorts: [DatagramDestination] { request.udpAllowed.filter { $0.port != nil } }

    private func has(_ destinations: [CIDR], _ family: IPAddress.Family) -> Bool {
        destinations.contains { $0.base.family == family }
    }

    var datagramSets: [NftSet] {
        var sets: [NftSet] = []
        for family in CapturePlan.families {
            if judgesDatagrams, request.udp == .policy {
                if has(allowedBlocks, family) {
                    sets.append(
                        NftSet(name: named(family, DatagramSet.allowed), members: .blocks(family, allowedBlocks)))
                }
                if has(allowedPorts.map(\.block), family) {
                    sets.append(
                        NftSet(
                            name: named(family, DatagramSet.allowedPorts), members: .destinations(family, allowedPorts))
                    )
                }
            }
            if remembersSenders {
                sets.append(
                    NftSet(
                        name: named(family, DatagramSet.senders),
                        members: .remembered(
                            family, seconds: CapturePlan.memory, most: CapturePlan.rememberedMost)))
            }
        }
        return sets
    }

    // MARK: Sent by the workload

    /// Of every packet that the workload sends, after DNS that goes to the agent.
    var datagramRules: [NftRule] {
        judgesDatagrams ? [NftRule(.transport(.udp), do: .jump(datagrams.name))] : []
    }

    private var datagrams: NftChain {
        var chain = NftChain(name: named("datagrams"))
        chain.rules += linkLocalExemption
        chain.rules.append(NftRule(.port(.destination, .udp, 53), do: .accept, comment: "DNS"))
        chain.rules.append(localExemption)
        chain.rules += judgement(byInterface: true) + verdicts
        return chain
    }

    /// Of what machines inside the namespace send, after what stays there and DNS that goes to the agent.
    var datagramsFromInside: NftChain {
        var chain = NftChain(name: named("datagrams_from_inside"))
        chain.rules.append(NftRule(.port(.destination, .udp, 53), do: .accept, comment: "DNS"))
        chain.rules += judgement(byInterface: false)
        guard relaysDatagrams else {
            chain.rules += verdicts
            return chain
        }
        chain.rules += accounted(.transport(.udp))
        for family in CapturePlan.families {
            chain.rules.append(
                NftRule(
                    .family(family), .transport(.udp),
                    do: .tproxy(place.address(family), port: settings.ports.outbound), .setMark(mark(marks.inside)),
                    .counter, .accept))
        }
        chain.rules.append(NftRule(.transport(.udp), do: .counter, .rejectUnreachable, comment: "no agent: closed"))
        return chain
    }

    /// What is let go by whatever becomes of the rest, and what is refused.
    private func judgement(byInterface: Bool) -> [NftRule] {
        var rules: [NftRule] = []
        // Those by port are of TCP.
        rules += exemptions(byInterface: byInterface).filter { rule in
            !rule.matches.contains { if case .portInSet(_, .tcp, _, _) = $0 { true } else { false } }
        }
        if !request.excludedOutboundPorts.isEmpty {
            rules.append(
                NftRule(
                    .portInSet(.destination, .udp, named(SetName.outboundExcludedPorts), true), do: .accept)
            )
        }
        if looksAtReplies {
            // A lease is renewed from the address that it is of.
            rules.append(NftRule(.ports(.destination, .udp, [67, 547]), do: .accept, comment: "DHCP"))
            if knowsReplies {
                rules.append(NftRule(.conntrackReply(true), do: .accept, comment: "replies"))
            } else {
                for family in CapturePlan.families {
                    rules.append(
                        NftRule(
                            .flowInSet(family, named(family, DatagramSet.senders)), do: .accept, comment: "replies"))
                }
            }
        }
        if request.quic == .refuse, request.udp != .proxy {
            rules.append(
                NftRule(.port(.destination, .udp, 443), do: .counter, .rejectUnreachable, comment: "QUIC"))
        }
        return rules
    }

    private var verdicts: [NftRule] {
        switch request.udp {
        case .pass:
            return []
        case .policy:
            var rules: [NftRule] = []
            for family in CapturePlan.families {
                if has(allowedBlocks, family) {
                    let set = named(family, DatagramSet.allowed)
                    rules.append(NftRule(.addressInSet(.destination, family, set, true), do: .accept))
                }
                if has(allowedPorts.map(\.block), family) {
                    rules.append(
                        NftRule(.destinationInSet(family, named(family, DatagramSet.allowedPorts)), do: .accept))
                }
            }
            return rules + [
                NftRule(.transport(.udp), do: .counter, .rejectUnreachable, comment: "UDP that is not allowed")
            ]
        case .proxy:
            return [NftRule(matching: [.transport(.udp)], do: [.counter] + datagramClaim + [.accept])]
        }
    }

    // MARK: Turned back to lo, and arriving

    /// Of packets on lo, first.
    var datagramTurns: [NftRule] {
        guard turnsDatagrams else { return [] }
        return [NftRule(.loopbackInterface(true), .mark(mark(marks.datagrams)), do: .jump(datagramsIn.name))]
    }

    var datagramsIn: NftChain {
        var chain = NftChain(name: named("datagrams_in"))
        for family in CapturePlan.families {
            chain.rules.append(
                NftRule(
                    matching: [.family(family), .transport(.udp)],
                    do: handOver(family, port: settings.ports.outbound)))
        }
        // With the agent gone the table stays, or goes with it: what is marked is never left to whoever listens here.
        chain.rules.append(
            NftRule(.transport(.udp), do: .counter, .rejectUnreachable, comment: "no agent: closed"))
        return chain
    }

    /// Of packets that arrive from elsewhere: remembers who has sent them. What comes to the agent's sockets is known
    /// there.
    var senderRules: [NftRule] {
        guard remembersSenders else { return [] }
        return [NftRule(.transport(.udp), .socketCgroup(agent), do: .accept, comment: "the agent's own sockets")]
            + CapturePlan.families.map { family in
                NftRule(do: .rememberFlow(family, named(family, DatagramSet.senders)))
            }
    }

    /// Of packets that pass through to machines inside the namespace: the same of them.
    var senderRulesInside: [NftRule] {
        guard remembersSenders, capturesInside else { return [] }
        return CapturePlan.families.map { family in
            NftRule(
                .interfaceInSet(.incoming, named(SetName.outboundFrom), false), .foreignDestination,
                do: .rememberFlow(family, named(family, DatagramSet.senders)))
        }
    }

    // MARK: Chains

    /// Those that are jumped to.
    var datagramChains: [NftChain] {
        (judgesDatagrams ? [datagrams] : []) + (turnsDatagrams ? [datagramsIn] : [])
    }

    /// Under redirect, whose own chain sees the first packet of a flow only and can refuse none.
    var datagramOutput: NftChain? {
        guard judgesDatagrams, outboundMode == .redirect else { return nil }
        return NftChain(
            name: "datagrams_out", hook: NftChain.Hook(kind: .route, point: .output, priority: -150),
            rules: [agentExemption] + datagramRules)
    }
}
