import TrammelCore

/// What becomes of packets that arrive for a workload.
extension CapturePlan {
    /// Of packets that came for the workload, wherever from: those to pass by, then those to turn to the agent, then,
    /// where nobody took them, the refusal.
    ///
    /// First packets are what is turned. Of others, the kernel finds the sockets by itself, but for the third one of a
    /// connection in a flood of first ones, which alone says that there is a connection (SYN cookies): it has to come to
    /// the listener that answered, and would come to the application's. What comes back for connections that the
    /// workload, or the agent for it, has opened through a NAT of the namespace's own is not turned: here it is still
    /// from whom it really comes, and nothing waits for it by that name.
    var inboundRules: [NftRule] {
        // Connections under way need none: the kernel finds their sockets.
        guard phase == .capturing else { return passedOnHost }
        var rules = inboundExemptions
        for family in CapturePlan.families {
            rules.append(
                NftRule(
                    matching: [.family(family), .tcpSYN], do: handOver(family, port: settings.ports.inbound, .counter)))
            // On the host none but first packets come here.
            guard place.hostIndex == nil else { continue }
            rules.append(
                NftRule(
                    matching: [.family(family), .tcpNotSYN, .socketFound],
                    do: handOver(family, port: settings.ports.inbound)))
        }
        if closed {
            rules.append(NftRule(.tcpSYN, do: .counter, .rejectWithReset, comment: "no agent: closed"))
        }
        return rules
    }

    /// Inbound connections to pass by. Where outbound packets are marked one by one without conntrack, the accepted
    /// socket inherits the mark `passed`, so that its replies are passed by too.
    var inboundExemptions: [NftRule] {
        var conditions: [NftMatch] = []
        if !request.excludedInboundSources.isEmpty {
            for family in CapturePlan.families {
                conditions.append(.addressInSet(.source, family, named(family, SetName.inboundExcluded), true))
            }
        }
        if !request.excludedInboundPorts.isEmpty {
            conditions.append(.portInSet(.destination, .tcp, named(SetName.inboundExcludedPorts), true))
        }
        if !request.includedInboundPorts.isEmpty {
            conditions.append(.portInSet(.destination, .tcp, named(SetName.inboundIncludedPorts), false))
        }
        if !request.includedInboundSources.isEmpty {
            for family in CapturePlan.families {
                conditions.append(.addressInSet(.source, family, named(family, SetName.inboundIncluded), false))
            }
        }
        if !request.excludedInboundInterfaces.isEmpty {
            conditions.append(.interfaceInSet(.incoming, named(SetName.inboundExcludedInterfaces), true))
        }
        if !request.includedInboundInterfaces.isEmpty {
            conditions.append(.interfaceInSet(.incoming, named(SetName.inboundIncludedInterfaces), false))
        }
        return conditions.map {
            if place.hostIndex != nil { return NftRule($0, do: .goTo(passedChain.name)) }
            return outboundMode == .tproxy
                ? NftRule($0, do: .setMark(mark(marks.passed)), .accept) : NftRule($0, do: .accept)
        }
    }
}
