import TrammelCore

/// What becomes of packets that a workload sends. The order is the agent's exemption (of whoever puts these rules into
/// a chain), then DNS, since a resolver may live on 127.0.0.53, then local destinations and what is excluded.
extension CapturePlan {
    /// Of packets that the workload sends, the agent's own left out already.
    var outboundRules: [NftRule] {
        if phase == .draining, !isSettling { return drainingRules }
        var rules = linkLocalExemption
        switch outboundMode {
        case .redirect:
            if capturesDNS {
                for transport in [NftMatch.Transport.udp, .tcp] {
                    rules += redirect(.port(.destination, transport, 53), to: settings.ports.dns)
                }
            }
            rules.append(localExemption)
            rules += outboundExemptions
            rules += redirect(.tcpSYN, to: settings.ports.outbound)
        case .tproxy:
            if capturesDNS {
                rules.append(
                    NftRule(
                        matching: [.port(.destination, .udp, 53)], do: [.counter] + claimStatements + [.accept]))
                rules.append(NftRule(.port(.destination, .tcp, 53), do: .jump(claim.name)))
            }
            rules += datagramRules
            // In the host's table it stands before the dispatch, for everyone.
            if place.hostIndex == nil { rules.append(directHitRefusal) }
            rules.append(localExemption)
            rules += outboundExemptions
            rules.append(NftRule(.transport(.tcp), do: .jump(claim.name)))
        }
        return rules
    }

    /// Decides, without conntrack, which of an application's TCP packets belong to a captured connection.
    ///
    /// Every SYN does, whatever mark an application has put on it. Later packets do unless they answer an inbound
    /// connection: those bear a mark inherited from the packet that opened it. An application that forges such a mark
    /// gains nothing, because its SYN went to the agent and nothing outside knows the connection. Replies that the
    /// kernel makes for sockets of its own (the SYN-ACK and resets of the agent's inbound side) come from no bound
    /// socket and go straight out.
    ///
    /// On the host, conntrack is what knows the later packets.
    var claim: NftChain {
        var chain = NftChain(name: named("claim"))
        chain.rules.append(
            phase == .capturing
                ? NftRule(matching: [.tcpSYN], do: [.counter] + claimStatements + [.accept])
                : NftRule(.tcpSYN, do: .accept))
        guard place.hostIndex == nil else { return chain }
        if !established.isEmpty {
            for family in CapturePlan.families {
                chain.rules.append(
                    NftRule(
                        .connectionInSet(family, named(family, SetName.established)), do: .accept,
                        comment: "older than the rules"))
            }
        }
        chain.rules += carriedRules
        chain.rules.append(
            isSettling
                ? NftRule(.transport(.tcp), .socketBound, do: .counter, .drop, comment: "for a moment: whose it is")
                : NftRule(.transport(.tcp), .socketBound, do: .setMark(mark(marks.outbound)), .accept))
        return chain
    }

    /// What the application sent and the routing turned back to lo: handed to the listeners.
    var fromApplication: NftChain {
        var chain = NftChain(name: named("from_app"))
        for family in CapturePlan.families {
            if capturesDNS {
                // UDP by the mark alone: a container runtime's own NAT may have changed the port since (Docker's
                // resolver at 127.0.0.11).
                let handOver = handOver(family, port: settings.ports.dns)
                chain.rules.append(NftRule(matching: [.family(family), .transport(.udp)], do: handOver))
                chain.rules.append(
                    NftRule(matching: [.family(family), .port(.destination, .tcp, 53)], do: handOver))
            }
            chain.rules.append(
                NftRule(
                    matching: [.family(family), .transport(.tcp)],
                    do: handOver(family, port: settings.ports.outbound)))
        }
        if closed {
            chain.rules.append(NftRule(.tcpSYN, do: .counter, .rejectWithReset, comment: "no agent: closed"))
        }
        return chain
    }

    // MARK: Exemptions

    /// An IPv6 link-local address means something on one link only, which a packet turned to lo has left.
    var linkLocalExemption: [NftRule] {
        [CIDR(IPAddress(v6: 0xFE80 << 48, 0), prefixLength: 10)].compactMap { $0 }.map {
            NftRule(.destinationBlock($0), do: .accept, comment: "link-local")
        }
    }

    var localExemption: NftRule { NftRule(.localDestination, do: .accept) }

    /// What is excluded, and then, where anything is included, all that none of the three kinds of it names.
    var outboundExemptions: [NftRule] { exemptions(byInterface: true) }

    /// - Parameter byInterface: whether it is known by which interface a packet leaves. What only an interface includes
    ///   is else left out.
    func exemptions(byInterface: Bool) -> [NftRule] {
        var rules: [NftRule] = []
        if !request.excludedOutboundPorts.isEmpty {
            rules.append(
                NftRule(.portInSet(.destination, .tcp, named(SetName.outboundExcludedPorts), true), do: .accept))
        }
        for family in CapturePlan.families where !request.excludedOutbound.isEmpty {
            let set = named(family, SetName.outboundExcluded)
            rules.append(NftRule(.addressInSet(.destination, family, set, true), do: .accept))
        }
        if byInterface, !request.excludedOutboundInterfaces.isEmpty {
            rules.append(
                NftRule(
                    .interfaceInSet(.outgoing, named(SetName.outboundExcludedInterfaces), true), do: .accept))
        }
        var others: [NftMatch] = []
        if !request.includedOutboundPorts.isEmpty {
            others.append(.portInSet(.destination, .tcp, named(SetName.outboundIncludedPorts), false))
        }
        if byInterface, !request.includedOutboundInterfaces.isEmpty {
            others.append(.interfaceInSet(.outgoing, named(SetName.outboundIncludedInterfaces), false))
        }
        if !request.includedOutbound.isEmpty {
            for family in CapturePlan.families {
                let set = named(family, SetName.outboundIncluded)
                rules.append(
                    NftRule(matching: [.addressInSet(.destination, family, set, false)] + others, do: [.accept]))
            }
        } else if !others.isEmpty {
            rules.append(NftRule(matching: others, do: [.accept]))
        }
        return rules
    }
}
