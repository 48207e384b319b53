import TrammelCore

/// One of several conditions, any of which does; or with `isWanted` false, none of which may hold.
struct IptablesChoice: Hashable, Sendable {
    let members: [IptablesRule]
    let isWanted: Bool
}

/// What nftables matches, in the words of iptables.
enum IptablesMatching {
    /// Part of a rule, and what it has to choose from besides. Nil where no packet of the family matches.
    typealias Result = (rule: IptablesRule, choice: IptablesChoice?)?

    /// Ports that one rule of the module multiport can hold.
    private static let portsPerRule = 15

    /// - Throws: `unimplemented` for what iptables has no word for.
    static func translate(
        _ match: NftMatch, _ family: IPAddress.Family, sets: [NftSet]
    ) throws -> Result {
        var rule = IptablesRule()
        switch match {
        case .loopbackInterface(let wanted):
            rule.inInterface = .init("lo", wanted)
        case .interfaceInSet(let way, let name, let wanted):
            guard case .interfaces(let names)? = members(of: name, in: sets) else { throw unknown(name) }
            let members = Set(names).sorted().map { interface in
                var member = IptablesRule()
                if way == .incoming {
                    member.inInterface = .init(interface)
                } else {
                    member.outInterface = .init(interface)
                }
                return member
            }
            return choice(among: members, wanted)
        case .family(let wanted):
            guard wanted == family else { return nil }
        case .transport(let transport):
            rule.transport = transport
        case .port(let side, let transport, let port):
            rule.transport = transport
            if side == .source { rule.sourcePort = port } else { rule.destinationPort = port }
        case .ports(let side, let transport, let ports):
            return choice(among: multiport(side, transport, ports), true)
        case .portInSet(let side, let transport, let name, let wanted):
            guard case .ports(let ports)? = members(of: name, in: sets) else { throw unknown(name) }
            // Whatever is of another transport is neither in the set nor outside it.
            rule.transport = transport
            return choice(among: multiport(side, transport, ports), wanted, rule)
        case .destinationBlock(let block):
            guard block.base.family == family else { return nil }
            rule.destination = .init(block)
        case .addressInSet(let side, let wantedFamily, let name, let wanted):
            guard wantedFamily == family else { return nil }
            guard case .blocks(_, let blocks)? = members(of: name, in: sets) else { throw unknown(name) }
            return choice(among: addresses(side, blocks, family), wanted)
        case .connectionInSet(let wantedFamily, let name):
            guard wantedFamily == family else { return nil }
            guard case .connections(_, let tuples)? = members(of: name, in: sets) else { throw unknown(name) }
            return choice(among: connections(tuples, family), true)
        case .destinationInSet(let wantedFamily, let name):
            guard wantedFamily == family else { return nil }
            guard case .destinations(_, let all)? = members(of: name, in: sets) else { throw unknown(name) }
            return choice(among: destinations(all, family), true)
        case .flowInSet(let wantedFamily, _):
            // Where rules of nftables have to remember, conntrack knows: iptables has it track in any mode.
            guard wantedFamily == family else { return nil }
            rule.transport = .udp
            rule.modules = ["-m conntrack --ctdir REPLY"]
        case .conntrackReply(let wanted):
            rule.modules = ["-m conntrack --ctdir \(wanted ? "REPLY" : "ORIGINAL")"]
        case .tcpSYN, .tcpNotSYN:
            rule.transport = .tcp
            rule.flags = .init(.first, match == .tcpSYN)
        case .mark(let mark):
            rule.modules = [isMarked(mark)]
        case .conntrackInvalid:
            rule.modules = ["-m conntrack --ctstate INVALID"]
        case .localDestination:
            return localDestination(family)
        case .foreignDestination:
            rule.modules = ["-m addrtype ! --dst-type LOCAL"]
        case .socketTransparent:
            rule.modules = ["-m socket --transparent"]
        case .socketFound:
            // It means: do not leave out those that listen on any address.
            rule.modules = ["-m socket --nowildcard"]
        case .socketCgroup(let cgroup):
            rule.modules = ["-m cgroup --path \(path(of: cgroup))"]
        case .socketBound:
            // Said by the translation, which knows the marks.
            throw IptablesTranslation.cannot("match '\(match.text)' alone")
        default:
            throw IptablesTranslation.cannot("match '\(match.text)'")
        }
        return (rule, nil)
    }

    // MARK: Words

    static func isMarked(_ mark: NftMatch.Mark, _ wanted: Bool = true) -> String {
        "-m mark \(wanted ? "" : "! ")--mark \(word(mark))"
    }

    static func set(_ mark: NftMatch.Mark) -> String { "-j MARK --set-xmark \(word(mark))" }

    static func setConntrack(_ mark: NftMatch.Mark) -> String { "-j CONNMARK --set-xmark \(word(mark))" }

    /// A connection that began with a packet from here which was not the agent's; or whose answers are the agent's,
    /// where conntrack has forgotten how it began.
    static func ofAnApplication(_ taken: NftMatch.Mark, agents: NftMatch.Mark) -> IptablesChoice {
        var begun = IptablesRule()
        begun.modules = ["-m conntrack --ctdir ORIGINAL", "-m connmark ! --mark \(word(agents))"]
        var answered = IptablesRule()
        answered.modules = ["-m connmark --mark \(word(taken))"]
        return IptablesChoice(members: [begun, answered], isWanted: true)
    }

    static func word(_ mark: NftMatch.Mark) -> String {
        "0x\(String(mark.value, radix: 16))/0x\(String(mark.mask, radix: 16))"
    }

    private static func path(of cgroup: CgroupReference) -> String {
        IptablesRule.quoted(String(cgroup.path.dropFirst()))
    }

    /// IPv6 knows no broadcast, and takes multicast as one more condition instead of one more choice.
    private static func localDestination(_ family: IPAddress.Family) -> Result {
        var byType = IptablesRule()
        guard family == .v6 else {
            byType.modules = ["-m addrtype --dst-type LOCAL,BROADCAST,ANYCAST,MULTICAST"]
            return (byType, nil)
        }
        byType.modules = ["-m addrtype --dst-type LOCAL,ANYCAST"]
        var multicast = IptablesRule()
        multicast.destination = CIDR(IPAddress(v6: 0xFF << 56, 0), prefixLength: 8).map { .init($0) }
        return choice(among: [byType, multicast], true)
    }

    // MARK: Sets

    private static func members(of name: String, in sets: [NftSet]) -> NftSet.Members? {
        sets.first { $0.name == name }?.members
    }

    private static func unknown(_ name: String) -> TrammelError {
        TrammelError(
            .internal, code: "iptables-set", "a rule names the set \(name), which is not there or of another kind")
    }

    private static func choice(
        among members: [IptablesRule], _ wanted: Bool, _ rule: IptablesRule = IptablesRule()
    ) -> Result {
        if members.isEmpty { return wanted ? nil : (rule, nil) }
        if wanted, members.count == 1 { return (members[0], nil) }
        return (rule, IptablesChoice(members: members, isWanted: wanted))
    }

    private static func multiport(
        _ side: NftMatch.Side, _ transport: NftMatch.Transport, _ ports: [UInt16]
    ) -> [IptablesRule] {
        let ports = Set(ports).sorted()
        return stride(from: 0, to: ports.count, by: portsPerRule).map { start in
            let some = ports[start..<min(start + portsPerRule, ports.count)].map(String.init)
            var rule = IptablesRule()
            rule.transport = transport
            rule.modules = ["-m multiport \(side == .source ? "--sports" : "--dports") \(some.joined(separator: ","))"]
            return rule
        }
    }

    private static func destinations(_ all: [DatagramDestination], _ family: IPAddress.Family) -> [IptablesRule] {
        let ports = Dictionary(grouping: all.filter { $0.port != nil }) { $0.port ?? 0 }
        return ports.sorted { $0.key < $1.key }.flatMap { port, some in
            addresses(.destination, some.map(\.block), family).map { address in
                var rule = address
                rule.transport = .udp
                rule.destinationPort = port
                return rule
            }
        }
    }

    /// Blocks within others are left out.
    private static func addresses(
        _ side: NftMatch.Side, _ blocks: [CIDR], _ family: IPAddress.Family
    ) -> [IptablesRule] {
        let own = Set(blocks.filter { $0.base.family == family })
        let outermost = own.filter { block in
            !own.contains { $0.prefixLength < block.prefixLength && $0.contains(block.base) }
        }
        return outermost.sorted { ($0.base, $0.prefixLength) < ($1.base, $1.prefixLength) }.map { block in
            var rule = IptablesRule()
            if side == .source { rule.source = .init(block) } else { rule.destination = .init(block) }
            return rule
        }
    }

    private static func connections(
        _ tuples: [ConntrackEntry.Tuple], _ family: IPAddress.Family
    ) -> [IptablesRule] {
        Set(tuples).sorted { ($0.source, $0.destination) < ($1.source, $1.destination) }.compactMap { tuple in
            guard tuple.source.address.family == family else { return nil }
            var rule = IptablesRule()
            rule.source = CIDR(tuple.source.address, prefixLength: family.bits).map { .init($0) }
            rule.destination = CIDR(tuple.destination.address, prefixLength: family.bits).map { .init($0) }
            rule.transport = .tcp
            rule.sourcePort = tuple.source.port
            rule.destinationPort = tuple.destination.port
            return rule
        }
    }
}
