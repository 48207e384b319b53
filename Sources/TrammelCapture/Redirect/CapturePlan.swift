package import TrammelCore

/// What is to be captured in one network namespace and how: the desired state, from which the rules follow.
package struct CapturePlan: Sendable, Hashable {
    package var outboundMode: CaptureMode
    package var ports = CapturePorts()
    /// The agent's cgroup: its sockets, and nobody else's, pass uncaptured.
    package var agentCgroup: CgroupReference
    package var hasIPv6: Bool
    package var excludedOutbound: [CIDR] = []
    package var excludedOutboundPorts: [UInt16] = []
    package var excludedInboundPorts: [UInt16] = []

    package init(
        outboundMode: CaptureMode, ports: CapturePorts = CapturePorts(), agentCgroup: CgroupReference, hasIPv6: Bool
    ) {
        self.outboundMode = outboundMode
        self.ports = ports
        self.agentCgroup = agentCgroup
        self.hasIPv6 = hasIPv6
    }
}

/// The ports of the capture listeners; Istio's numbers by default.
package struct CapturePorts: Sendable, Hashable {
    package var outbound: UInt16 = 15001
    package var inbound: UInt16 = 15006
    package var dns: UInt16 = 15053
    package init() {}
}

/// A cgroup of the v2 tree, as rules name it.
package struct CgroupReference: Sendable, Hashable {
    /// Its directory's inode.
    package let id: UInt64
    /// How deep below the root it lies; `/trammel/agent` is 2.
    package let level: UInt32

    package init(id: UInt64, level: UInt32) {
        self.id = id
        self.level = level
    }
}

/// The marks and the routing table behind them. The low 12 bits belong to Trammel, the rest to others.
package enum Marks {
    package static let mask: UInt32 = 0xFFF
    /// On the agent's sockets that bear a client's address, and, by tcp_fwmark_accept, on the application's answers.
    package static let onward: UInt32 = 0x539
    /// On an application's packets on their way to the outbound listener.
    package static let outbound: UInt32 = 0x222
    /// Both lead to the routing table in which everything is local.
    package static let routingTable: UInt32 = 133
    package static let rulePriority: UInt32 = 100
}

extension CapturePlan {
    /// The rules that make the plan real. The order is explained rule by rule.
    package var ruleset: Ruleset {
        var ruleset = Ruleset()
        ruleset.sets = exclusionSets
        ruleset.chains.append(
            Ruleset.Chain(name: "pre", type: .filter, hook: .prerouting, priority: -150, rules: prerouting))
        switch outboundMode {
        case .tproxy:
            ruleset.chains.append(
                Ruleset.Chain(name: "out", type: .route, hook: .output, priority: -150, rules: outbound))
        case .redirect:
            ruleset.chains.append(
                Ruleset.Chain(name: "out", type: .nat, hook: .output, priority: -101, rules: outbound))
        }
        return ruleset
    }

    private var families: [(match: Ruleset.Match, loopback: IPAddress)] {
        hasIPv6 ? [(.ipv4, .loopbackV4), (.ipv6, .loopbackV6)] : [(.ipv4, .loopbackV4)]
    }

    private var exclusionSets: [Ruleset.AddressSet] {
        [IPAddress.Family.v4, .v6].compactMap { family in
            let blocks = excludedOutbound.filter { $0.base.family == family }
            guard !blocks.isEmpty, family == .v4 || hasIPv6 else { return nil }
            return Ruleset.AddressSet(name: family == .v4 ? "direct4" : "direct6", family: family, blocks: blocks)
        }
    }

    private var prerouting: [Ruleset.Rule] {
        var rules: [Ruleset.Rule] = []
        // What leaves an application comes back over loopback, marked, for the outbound listener.
        if outboundMode == .tproxy {
            for family in families {
                rules.append(
                    .init(
                        .fromLoopback(true), .mark(value: Marks.outbound, mask: Marks.mask), family.match, .tcp,
                        then: .tproxy(IPEndpoint(family.loopback, ports.outbound))))
            }
        } else {
            // An INVALID packet must not draw a reset from the stack into a redirected flow.
            rules.append(.init(.conntrackInvalid, then: .drop))
        }
        rules.append(.init(.fromLoopback(true), then: .accept))
        // The capture ports are nobody's business from outside.
        for port in [ports.outbound, ports.inbound, ports.dns] {
            rules.append(.init(.tcp, .destinationPort(port), counts: true, then: .reset))
        }
        for port in excludedInboundPorts { rules.append(.init(.tcp, .destinationPort(port), then: .accept)) }
        // Established connections of the agent's own transparent sockets.
        rules.append(.init(.tcp, .transparentSocket, then: .accept))
        for family in families {
            rules.append(
                .init(
                    family.match, .tcp, counts: true,
                    then: .tproxy(IPEndpoint(family.loopback, ports.inbound))))
        }
        // Fail closed: without a listener a new connection is refused, not let past.
        rules.append(.init(.tcpSyn, counts: true, then: .reset))
        return rules
    }

    private var outbound: [Ruleset.Rule] {
        var rules: [Ruleset.Rule] = []
        rules.append(.init(.socketCgroup(id: agentCgroup.id, level: agentCgroup.level), then: .accept))
        if outboundMode == .tproxy {
            // An application's answer to a call that the agent carried here. Whoever sets this mark himself is routed
            // to his own loopback and gets nowhere.
            rules.append(.init(.mark(value: Marks.onward, mask: Marks.mask), then: .accept))
            // The kernel sends these without a full socket, so without a cgroup: what answers a captured call from
            // outside. Neither begins a connection, so letting them by lets nobody out.
            rules.append(.init(.tcpSynAck, then: .accept))
            rules.append(.init(.tcpReset, then: .accept))
        }
        rules.append(.init(.destinationNotUnicast, then: .accept))
        for set in exclusionSets { rules.append(.init(.destinationIn(set: set.name, set.family), then: .accept)) }
        for port in excludedOutboundPorts { rules.append(.init(.tcp, .destinationPort(port), then: .accept)) }
        switch outboundMode {
        case .tproxy: rules.append(.init(.tcp, then: .setMark(Marks.outbound)))
        case .redirect: rules.append(.init(.tcpSyn, counts: true, then: .redirect(ports.outbound)))
        }
        return rules
    }
}
