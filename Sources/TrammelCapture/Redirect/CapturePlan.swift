package import TrammelCore

/// The desired state of one network namespace, as a pure value: everything that the rules depend on, and nothing that
/// has to be asked of the kernel. Equal plans make equal tables.
package struct CapturePlan: Hashable, Sendable {
    /// The name of the table, and of nothing else on the node.
    static let tableName = "trammel"

    package let settings: CaptureSettings
    package let request: CaptureRequest
    package let agent: CgroupReference
    /// How outbound connections are captured; inbound ones always go by tproxy.
    package let outboundMode: CaptureMode
    /// Connections older than the rules, both ends as their packets leave. tproxy has to exempt them, since it marks
    /// every packet and not only the first; redirect leaves them alone by itself.
    package internal(set) var established: [ConntrackEntry.Tuple] = []
    /// What the table says about itself.
    var comment: String?

    init(settings: CaptureSettings, request: CaptureRequest, agent: CgroupReference, outboundMode: CaptureMode) {
        self.settings = settings
        self.request = request
        self.agent = agent
        self.outboundMode = outboundMode
    }

    /// Whether DNS goes to the agent.
    package var capturesDNS: Bool { request.capturesDNS && !request.excludedOutboundPorts.contains(53) }

    var table: NftTable {
        var table = NftTable(name: CapturePlan.tableName, comment: comment)
        table.sets = sets
        table.chains = [prerouting]
        switch outboundMode {
        case .redirect:
            table.chains += [directHits, redirectOutput]
        case .tproxy:
            // A chain has to be there before a rule can jump to it; the encoder makes all chains first.
            table.chains += [fromApplication, claim, routeOutput]
        }
        return table
    }

    // MARK: Sets

    private enum SetName {
        static let outboundExcluded = "outbound_excluded"
        static let outboundIncluded = "outbound_included"
        static let outboundExcludedPorts = "outbound_excluded_ports"
        static let outboundIncludedPorts = "outbound_included_ports"
        static let inboundExcluded = "inbound_excluded"
        static let inboundExcludedPorts = "inbound_excluded_ports"
        static let inboundIncludedPorts = "inbound_included_ports"
        static let established = "established"

        static func of(_ family: IPAddress.Family, _ name: String) -> String { name + (family == .v4 ? "4" : "6") }
    }

    private static let families: [IPAddress.Family] = [.v4, .v6]

    private var sets: [NftSet] {
        var sets: [NftSet] = []
        func add(_ name: String, blocks: [CIDR]) {
            guard !blocks.isEmpty else { return }
            for family in CapturePlan.families {
                sets.append(NftSet(name: SetName.of(family, name), members: .blocks(family, blocks)))
            }
        }
        func add(_ name: String, ports: [UInt16]) {
            if !ports.isEmpty { sets.append(NftSet(name: name, members: .ports(ports))) }
        }
        add(SetName.outboundExcluded, blocks: request.excludedOutbound)
        add(SetName.outboundExcludedPorts, ports: request.excludedOutboundPorts)
        add(SetName.outboundIncluded, blocks: request.includedOutbound)
        add(SetName.outboundIncludedPorts, ports: request.includedOutboundPorts)
        add(SetName.inboundExcluded, blocks: request.excludedInboundSources)
        add(SetName.inboundExcludedPorts, ports: request.excludedInboundPorts)
        add(SetName.inboundIncludedPorts, ports: request.includedInboundPorts)
        if outboundMode == .tproxy, !established.isEmpty {
            for family in CapturePlan.families {
                let ours = established.filter { $0.source.address.family == family }
                sets.append(NftSet(name: SetName.of(family, SetName.established), members: .connections(family, ours)))
            }
        }
        return sets
    }

    // MARK: Inbound

    private var marks: CaptureSettings.Marks { settings.marks }
    private func mark(_ value: UInt32) -> NftMatch.Mark { NftMatch.Mark(value: value, mask: marks.mask) }
    private var closed: Bool { request.failureMode == .closed }

    private var prerouting: NftChain {
        var chain = NftChain(
            name: "pre", hook: NftChain.Hook(kind: .filter, point: .prerouting, priority: -150))
        if outboundMode == .tproxy {
            chain.rules.append(
                NftRule(.loopbackInterface(true), .mark(mark(marks.outbound)), do: .jump("from_app")))
        }
        chain.rules.append(NftRule(.loopbackInterface(true), do: .accept))
        if outboundMode == .redirect {
            // Only where the rules switch tracking on anyhow; there, an invalid packet would be answered with a reset.
            chain.rules.append(NftRule(.conntrackInvalid, do: .counter, .drop))
        }
        chain.rules.append(
            NftRule(
                .ports(.destination, .tcp, settings.ports.all), do: .rejectWithReset,
                comment: "the agent's ports are not for direct use"))
        chain.rules += inboundExemptions
        for family in CapturePlan.families {
            chain.rules.append(
                NftRule(
                    .family(family), .transport(.tcp),
                    do: .tproxy(CapturePlan.loopback(family), port: settings.ports.inbound), .counter, .accept))
        }
        if closed {
            chain.rules.append(NftRule(.tcpSYN, do: .counter, .rejectWithReset, comment: "no agent: closed"))
        }
        return chain
    }

    /// Inbound connections to pass by. Where outbound packets are marked one by one, the accepted socket inherits the
    /// mark `passed`, so that its replies are passed by too.
    private var inboundExemptions: [NftRule] {
        var conditions: [NftMatch] = []
        if !request.excludedInboundSources.isEmpty {
            for family in CapturePlan.families {
                conditions.append(
                    .addressInSet(.source, family, SetName.of(family, SetName.inboundExcluded), true))
            }
        }
        if !request.excludedInboundPorts.isEmpty {
            conditions.append(.portInSet(.destination, .tcp, SetName.inboundExcludedPorts, true))
        }
        if !request.includedInboundPorts.isEmpty {
            conditions.append(.portInSet(.destination, .tcp, SetName.inboundIncludedPorts, false))
        }
        return conditions.map {
            outboundMode == .tproxy
                ? NftRule($0, do: .setMark(mark(marks.passed)), .accept) : NftRule($0, do: .accept)
        }
    }

    // MARK: Outbound

    private var agentExemption: NftRule {
        NftRule(.socketCgroup(agent), do: .accept, comment: "the agent's own sockets")
    }

    /// An IPv6 link-local address means something on one link only, which a packet turned to lo has left.
    private var linkLocalExemption: [NftRule] {
        [CIDR(IPAddress(v6: 0xFE80 << 48, 0), prefixLength: 10)].compactMap { $0 }.map {
            NftRule(.destinationBlock($0), do: .accept, comment: "link-local")
        }
    }

    private var localExemption: NftRule { NftRule(.localDestination, do: .accept) }

    private var directHitRefusal: NftRule {
        NftRule(
            .tcpSYN, .ports(.destination, .tcp, settings.ports.all), .localDestination, do: .rejectWithReset,
            comment: "the agent's ports are not for direct use")
    }

    private var outboundExemptions: [NftRule] {
        var rules: [NftRule] = []
        if !request.excludedOutboundPorts.isEmpty {
            rules.append(NftRule(.portInSet(.destination, .tcp, SetName.outboundExcludedPorts, true), do: .accept))
        }
        for family in CapturePlan.families where !request.excludedOutbound.isEmpty {
            let set = SetName.of(family, SetName.outboundExcluded)
            rules.append(NftRule(.addressInSet(.destination, family, set, true), do: .accept))
        }
        let otherPort = NftMatch.portInSet(.destination, .tcp, SetName.outboundIncludedPorts, false)
        if !request.includedOutbound.isEmpty {
            for family in CapturePlan.families {
                var rule = NftRule(
                    .addressInSet(.destination, family, SetName.of(family, SetName.outboundIncluded), false),
                    do: .accept)
                if !request.includedOutboundPorts.isEmpty { rule.matches.append(otherPort) }
                rules.append(rule)
            }
        } else if !request.includedOutboundPorts.isEmpty {
            rules.append(NftRule(otherPort, do: .accept))
        }
        return rules
    }

    /// Before NAT, because a NAT chain cannot refuse: a connection to a listener that nothing turned there.
    private var directHits: NftChain {
        NftChain(
            name: "guard", hook: NftChain.Hook(kind: .filter, point: .output, priority: -150),
            rules: [directHitRefusal])
    }

    private var redirectOutput: NftChain {
        var chain = NftChain(name: "out", hook: NftChain.Hook(kind: .nat, point: .output, priority: -101))
        chain.rules.append(agentExemption)
        chain.rules += linkLocalExemption
        if capturesDNS {
            // Before the exemption of local destinations: a resolver may live on 127.0.0.53.
            for transport in [NftMatch.Transport.udp, .tcp] {
                chain.rules.append(
                    NftRule(
                        .port(.destination, transport, 53), do: .counter, .redirect(port: settings.ports.dns)))
            }
        }
        chain.rules.append(localExemption)
        chain.rules += outboundExemptions
        chain.rules.append(NftRule(.tcpSYN, do: .counter, .redirect(port: settings.ports.outbound)))
        return chain
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
        chain.rules += linkLocalExemption
        if capturesDNS {
            chain.rules.append(
                NftRule(
                    .port(.destination, .udp, 53), do: .counter, .setMark(mark(marks.outbound)), .accept))
            chain.rules.append(NftRule(.port(.destination, .tcp, 53), do: .jump("claim")))
        }
        chain.rules.append(directHitRefusal)
        chain.rules.append(localExemption)
        chain.rules += outboundExemptions
        chain.rules.append(NftRule(.transport(.tcp), do: .jump("claim")))
        return chain
    }

    /// Decides, without conntrack, which of an application's TCP packets belong to a captured connection.
    ///
    /// Every SYN does, whatever mark an application has put on it. Later packets do unless they answer an inbound
    /// connection: those bear a mark inherited from the packet that opened it. An application that forges such a mark
    /// gains nothing, because its SYN went to the agent and nothing outside knows the connection. Replies that the
    /// kernel makes for sockets of its own (the SYN-ACK and resets of the agent's inbound side) come from no bound
    /// socket and go straight out.
    private var claim: NftChain {
        var chain = NftChain(name: "claim")
        chain.rules.append(NftRule(.tcpSYN, do: .counter, .setMark(mark(marks.outbound)), .accept))
        if !established.isEmpty {
            for family in CapturePlan.families {
                let set = SetName.of(family, SetName.established)
                chain.rules.append(
                    NftRule(.connectionInSet(family, set), do: .accept, comment: "older than the rules"))
            }
        }
        chain.rules.append(
            NftRule(.transport(.tcp), .socketBound, do: .setMark(mark(marks.outbound)), .accept))
        return chain
    }

    /// What the application sent and the routing turned back to lo: handed to the listeners.
    private var fromApplication: NftChain {
        var chain = NftChain(name: "from_app")
        for family in CapturePlan.families {
            let loopback = CapturePlan.loopback(family)
            if capturesDNS {
                // UDP by the mark alone: a container runtime's own NAT may have changed the port since (Docker's
                // resolver at 127.0.0.11).
                let handOver = NftStatement.tproxy(loopback, port: settings.ports.dns)
                chain.rules.append(NftRule(.family(family), .transport(.udp), do: handOver, .accept))
                chain.rules.append(
                    NftRule(.family(family), .port(.destination, .tcp, 53), do: handOver, .accept))
            }
            chain.rules.append(
                NftRule(
                    .family(family), .transport(.tcp), do: .tproxy(loopback, port: settings.ports.outbound), .accept))
        }
        chain.rules.append(NftRule(.tcpSYN, do: .counter, .rejectWithReset, comment: "no agent: closed"))
        return chain
    }

    private static func loopback(_ family: IPAddress.Family) -> IPAddress {
        family == .v4 ? .loopbackV4 : .loopbackV6
    }
}
