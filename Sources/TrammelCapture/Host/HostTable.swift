import TrammelCore

/// A table of the host's own network namespace, for the cgroups and users that are captured there.
///
/// There are two at most: one that stays when the agent dies, and one that goes with it, for members that fail open. A
/// packet passes through both, in whichever order, so each knows of the other's members what it must leave alone: those
/// that its own would take for theirs, and connections that were turned. It needs nothing else of the other.
///
/// A packet is looked up by what the kernel says of its socket, once for each level of cgroups that members are at and
/// once by user, and goes to the chains of the member that is found: the cost is the same for one member and for five
/// hundred, and whoever is no member's goes on. The deepest cgroup comes first, and cgroups come before users.
///
/// Two things differ from a namespace of a workload's own. The host's sysctls are everybody's and are left alone, so
/// replies to the agent are known by conntrack's mark and not by one that sockets inherit. And marks are forged more
/// easily, by any process of the host with CAP_NET_RAW, so those of sockets outside the agent's cgroup are wiped off
/// before they are looked at.
struct HostTable {
    enum Name {
        static let handedOver = "handed_over"
        static let forged = "forged"
        static let fresh = "fresh"
        static let guarded = "guarded"
        static let loopback = "loopback"
        static let toApplication = "to_app"
        static let fromApplication = "from_app"
        static let inbound = "inbound"
        static let owners = "owners"
        static let turned = "turned"
        static let strangers = "strangers"
        static let users = "users"
        static let ports = "in_ports"
    }

    /// Of members that fail open, while they are captured.
    static let openName = CapturePlan.tableName + "-open"

    /// The marks that lead packets to lo, whoever the members are.
    static func routedMarks(_ marks: CaptureSettings.Marks) -> [UInt32] {
        [marks.upstream, marks.outbound, marks.datagrams]
    }

    /// The table's comment: that the host's sysctls are as they were before (see `NamespaceSettings`).
    static let comment = NamespaceSettings(values: [:]).comment

    private let name: String
    private let isOwned: Bool
    private let settings: CaptureSettings
    private let agent: CgroupReference
    private let members: [HostMember]
    /// Another table's, or nobody's yet, that are to be left alone.
    private let others: [HostMember]
    /// Of the others, the cgroups that would be taken for a member's.
    private let spared: [CgroupReference]
    private let levels: [UInt32]
    private let hasUsers: Bool
    private let hasRedirect: Bool

    /// - Parameters:
    ///   - isOwned: whether it goes with the agent.
    ///   - members: in the order of their indices, so that equal members make equal tables; the others likewise.
    init(
        name: String = CapturePlan.tableName, isOwned: Bool = false, settings: CaptureSettings, agent: CgroupReference,
        members: [HostMember], others: [HostMember] = []
    ) {
        self.name = name
        self.isOwned = isOwned
        self.settings = settings
        self.agent = agent
        self.members = members
        self.others = others
        var levels: Set<UInt32> = []
        var paths: Set<String> = []
        var users = false
        for member in members {
            switch member.selector {
            case .cgroup(let cgroup):
                levels.insert(cgroup.level)
                paths.insert(cgroup.path)
            case .user: users = true
            }
        }
        var spared: [CgroupReference] = []
        for case .cgroup(let cgroup) in others.lazy.filter({ !$0.isLeaving }).map(\.selector)
        where users || cgroup.isBelow(paths) {
            levels.insert(cgroup.level)
            spared.append(cgroup)
        }
        self.spared = spared
        self.levels = levels.sorted(by: >)
        hasUsers = users
        hasRedirect = members.contains { $0.plan.outboundMode == .redirect }
    }

    var table: NftTable {
        var table = NftTable(name: name, comment: HostTable.comment)
        table.isOwned = isOwned
        table.sets = members.flatMap(\.sets)
        table.maps = maps
        table.chains =
            (hasRedirect ? [guarded, strangers] : []) + [
                handedOver, forged, fresh, sanitise, toApplication, fromApplication, inbound, loopback, prerouting,
            ]
        table.chains.append(routeOutput)
        if hasRedirect { table.chains.append(natOutput) }
        for member in members {
            table.chains += member.turned
            table.chains += [member.routed, member.outbound, member.passed, member.inbound].compactMap { $0 }
        }
        return table
    }

    // MARK: Who a packet belongs to

    /// The three places where packets are given to their owners. Each has maps of its own, since a member is judged in
    /// one of the two outbound chains, by its mode, and must not be looked for in wider cgroups in the other.
    private enum Dispatch: String {
        case route = "out_", nat = "nat_", inbound = "in_"

        func cgroups(_ level: UInt32) -> String { "\(rawValue)cgroups\(level)" }
        var users: String { rawValue + Name.users }
    }

    private func byCgroup(_ dispatch: Dispatch) -> [NftRule] {
        levels.map { NftRule(do: .lookUp(.socketCgroup(level: $0), dispatch.cgroups($0))) }
    }

    private func rules(_ dispatch: Dispatch) -> [NftRule] {
        var rules = byCgroup(dispatch)
        if hasUsers {
            rules.append(
                dispatch == .inbound
                    ? NftRule(do: .lookUp(.tcpDestinationPort, Name.ports))
                    : NftRule(do: .lookUp(.socketUser, dispatch.users)))
        }
        return rules
    }

    private func verdict(_ member: HostMember, _ dispatch: Dispatch) -> NftVerdictMap.Verdict {
        switch (dispatch, member.plan.outboundMode) {
        case (.inbound, _): .goTo(member.inbound.name)
        case (.route, .tproxy), (.nat, .redirect): .goTo(member.outbound.name)
        case (.route, .redirect): member.routed.map { .goTo($0.name) } ?? .accept
        case (.nat, .tproxy): .accept
        }
    }

    private var maps: [NftVerdictMap] {
        var maps: [NftVerdictMap] = []
        var cgroups: [UInt32: [(HostMember, CgroupReference)]] = [:]
        for member in members where !member.isLeaving {
            if case .cgroup(let cgroup) = member.selector {
                cgroups[cgroup.level, default: []].append((member, cgroup))
            }
        }
        for dispatch in hasRedirect ? [Dispatch.route, .nat, .inbound] : [.route, .inbound] {
            for level in levels {
                let found = (cgroups[level] ?? []).map { member, cgroup in
                    NftVerdictMap.Member(key: .cgroup(cgroup), verdict: verdict(member, dispatch))
                }
                let alone = spared.filter { $0.level == level }.map {
                    NftVerdictMap.Member(key: .cgroup($0), verdict: .accept)
                }
                maps.append(
                    NftVerdictMap(
                        name: dispatch.cgroups(level), field: .socketCgroup(level: level), members: found + alone))
            }
            if hasUsers { maps.append(users(dispatch)) }
        }
        if hasOwners { maps.append(owners) }
        if hasRedirect { maps.append(turned) }
        return maps
    }

    private var hasOwners: Bool { (members + others).contains { !$0.owned.isEmpty } }

    /// Of connections and flows that were turned to lo.
    private var owners: NftVerdictMap {
        var map = NftVerdictMap(name: Name.owners, field: .conntrackMark)
        map.members = members.flatMap(\.owned).map { .init(key: .mark($0.mark), verdict: .goTo($0.chain)) }
        map.members += others.flatMap(\.owned).map { .init(key: .mark($0.mark), verdict: .accept) }
        return map
    }

    /// Of connections that NAT has sent to a member's listener. Whoever meets this is not that member: its own packets have
    /// gone to its chain, unless it is leaving.
    private var turned: NftVerdictMap {
        NftVerdictMap(
            name: Name.turned, field: .conntrackMark,
            members: members.filter { $0.plan.outboundMode == .redirect && !$0.isLeaving }.map {
                .init(key: .mark($0.ownerMark), verdict: .goTo(Name.strangers))
            })
    }

    private func users(_ dispatch: Dispatch) -> NftVerdictMap {
        var map = NftVerdictMap(
            name: dispatch == .inbound ? Name.ports : dispatch.users,
            field: dispatch == .inbound ? .tcpDestinationPort : .socketUser)
        for member in members where !member.isLeaving {
            guard case .user(let user, let ports) = member.selector else { continue }
            let keys = dispatch == .inbound ? ports.map(NftVerdictMap.Key.port) : [.user(user)]
            map.members += keys.map { NftVerdictMap.Member(key: $0, verdict: verdict(member, dispatch)) }
        }
        return map
    }

    // MARK: Chains

    private var marks: CaptureSettings.Marks { settings.marks }
    private func mark(_ value: UInt32) -> NftMatch.Mark { NftMatch.Mark(value: value, mask: marks.mask) }

    private var agentExemption: NftRule {
        NftRule(.socketCgroup(agent), do: .accept, comment: "the agent's own sockets")
    }

    /// Before anything looks at a mark. It is never asked whether a socket is outside the agent's cgroup: for one in a
    /// cgroup nearer to the root, the kernel has no answer to that.
    private var sanitise: NftChain {
        NftChain(
            name: "sanitise", hook: NftChain.Hook(kind: .route, point: .output, priority: -160),
            rules: [NftRule(.tcpSYN, .conntrackReply(false), do: .jump(Name.fresh))]
                + [marks.outbound, marks.datagrams, marks.upstream, marks.passed].map {
                    NftRule(.mark(mark($0)), do: .goTo(Name.forged))
                })
    }

    /// The kernel keeps the entry of a connection that was refused for ten seconds (`nf_conntrack_tcp_timeout_close`),
    /// with whose it was, and takes the next one between the same ports for it. That may be anybody's. One that NAT has
    /// turned still is, since its packets go where they went.
    private var fresh: NftChain {
        NftChain(
            name: Name.fresh,
            rules: [
                NftRule(.conntrackMark(mark(marks.outbound)), .conntrackTurned(false), do: .setConntrackMark(0)),
                NftRule(.conntrackMark(mark(marks.passed)), do: .setConntrackMark(0)),
                NftRule(.conntrackMark(mark(marks.own)), do: .setConntrackMark(0)),
            ])
    }

    private var forged: NftChain {
        NftChain(
            name: Name.forged,
            rules: [
                agentExemption,
                NftRule(do: .counter, .setMark(mark(0)), comment: "marks are the agent's alone"),
            ])
    }

    private var routeOutput: NftChain {
        var chain = NftChain(name: "out", hook: NftChain.Hook(kind: .route, point: .output, priority: -150))
        chain.rules.append(
            NftRule(
                .tcpSYN, .socketCgroup(agent), .conntrackUnmarked, do: .setConntrackMark(marks.own), .accept,
                comment: "the agent's own, as the accounting is to know"))
        if hasRedirect {
            chain.rules.append(
                NftRule(
                    .tcpSYN, .conntrackTurned(true), .socketCgroup(agent), do: .lookUp(.conntrackMark, Name.turned)))
        }
        chain.rules.append(agentExemption)
        chain.rules.append(
            NftRule(
                .conntrackReply(true), .conntrackMark(mark(marks.upstream)),
                do: .setMark(mark(marks.upstream)), .accept, comment: "replies to the agent"))
        chain.rules.append(
            NftRule(
                .conntrackReply(false), .tcpNotSYN, .conntrackMark(mark(marks.outbound)),
                do: .setMark(mark(marks.outbound)), .accept, comment: "captured by their first packet"))
        chain.rules.append(NftRule(.tcpNotSYN, do: .accept))
        for block in CapturePlace.hostBlocks {
            chain.rules.append(
                NftRule(
                    .destinationBlock(block), .ports(.destination, .tcp, settings.ports.all), .tcpSYN,
                    do: .rejectWithReset, comment: "the agent's ports are not for direct use"))
        }
        chain.rules += rules(.route)
        if hasRedirect {
            chain.rules.append(NftRule(.tcpSYN, .conntrackTurned(true), do: .lookUp(.conntrackMark, Name.turned)))
        }
        return chain
    }

    private var natOutput: NftChain {
        NftChain(
            name: "nat", hook: NftChain.Hook(kind: .nat, point: .output, priority: -101),
            rules: [agentExemption] + rules(.nat))
    }

    /// Where NAT leads. While the agent is dead, anybody may listen there; and while it lives, what lingers of a
    /// connection that has ended (TIME_WAIT) is in the way of its listener for whoever has the same port again.
    private var guarded: NftChain {
        NftChain(
            name: Name.guarded,
            rules: CapturePlan.families.map {
                NftRule(.transport(.tcp), do: .tproxyToDestination($0))
            } + [
                agentExemption,
                NftRule(.transport(.tcp), do: .counter, .rejectWithReset, comment: "only the agent listens here"),
            ])
    }

    /// What NAT sends after a connection of a member's that was reset, and is not the member's (see `notAnothers`).
    private var strangers: NftChain {
        NftChain(
            name: Name.strangers,
            rules: [NftRule(do: .counter, .drop, comment: "another's still, for ten seconds")])
    }

    private var prerouting: NftChain {
        NftChain(
            name: "pre", hook: NftChain.Hook(kind: .filter, point: .prerouting, priority: -150),
            rules: [
                NftRule(.loopbackInterface(true), do: .goTo(Name.loopback))
            ]
                + CapturePlace.hostBlocks.map {
                    NftRule(
                        .destinationBlock($0), do: .counter, .drop, comment: "the agent's addresses are this node's")
                } + [
                    NftRule(.tcpSYN, do: .goTo(Name.inbound))
                ])
    }

    private var loopback: NftChain {
        NftChain(
            name: Name.loopback,
            rules: (hasRedirect ? CapturePlace.hostBlocks : []).map {
                NftRule(
                    .destinationBlock($0), .ports(.destination, .tcp, settings.ports.all), .tcpSYN,
                    do: .goTo(Name.guarded))
            } + [
                NftRule(.mark(mark(marks.upstream)), do: .goTo(Name.toApplication)),
                NftRule(.mark(mark(marks.outbound)), do: .goTo(Name.fromApplication)),
                NftRule(.mark(mark(marks.datagrams)), do: .goTo(Name.fromApplication)),
                NftRule(.mark(mark(marks.passed)), do: .accept),
                NftRule(.tcpSYN, do: .goTo(Name.inbound)),
            ])
    }

    private var toApplication: NftChain {
        NftChain(
            name: Name.toApplication,
            rules: [
                NftRule(.tcpSYN, do: .counter, .setConntrackMark(marks.upstream)),
                NftRule(do: .accept),
            ])
    }

    private var fromApplication: NftChain {
        var chain = NftChain(name: Name.fromApplication)
        if (members + others).contains(where: { $0.plan.outboundMode == .redirect }) {
            chain.rules += CapturePlace.hostBlocks.map {
                NftRule(.destinationBlock($0), do: .accept, comment: "led by NAT")
            }
        }
        if hasOwners { chain.rules.append(NftRule(do: .lookUp(.conntrackMark, Name.owners))) }
        chain.rules.append(NftRule(.transport(.tcp), do: .counter, .rejectWithReset, comment: "nobody's"))
        chain.rules.append(NftRule(do: .counter, .drop))
        return chain
    }

    /// After a packet was given a listener by tproxy: whether that listener is the agent's. Comes back where it is not.
    private var handedOver: NftChain {
        NftChain(
            name: Name.handedOver,
            rules: [
                NftRule(.tcpNotSYN, do: .accept),
                NftRule(.socketCgroup(agent), .conntrackUnmarked, do: .setConntrackMark(marks.own), .accept),
                NftRule(.socketCgroup(agent), do: .accept),
                NftRule(.transport(.udp), do: .counter, .rejectUnreachable),
            ])
    }

    /// What passes through is nobody's here, though somebody listens on its port at every address. What the other table
    /// has handed over is the agent's from then on.
    ///
    /// The kernel finds what lingers of an ended connection (TIME_WAIT) before it finds the listener, and knows no cgroup
    /// of that: whoever had the same port again would come to the application past the agent. So that is cleared away
    /// first, as the kernel itself does for a first packet that is newer, and the listener is looked for once more.
    private var inbound: NftChain {
        var chain = NftChain(name: Name.inbound)
        chain.rules.append(NftRule(.foreignDestination, do: .accept, comment: "passes through"))
        if !others.isEmpty { chain.rules.append(agentExemption) }
        chain.rules += rules(.inbound)
        guard !levels.isEmpty else { return chain }
        chain.rules.append(NftRule(.socketFound, do: .accept))
        chain.rules += CapturePlan.families.map {
            NftRule(.transport(.tcp), do: .tproxyToDestination($0), comment: "clears away what lingers")
        }
        chain.rules += byCgroup(.inbound)
        return chain
    }
}

extension CgroupReference {
    /// Whether it is inside one of the cgroups at these paths.
    fileprivate func isBelow(_ paths: Set<String>) -> Bool {
        var above = path[...]
        while let end = above.lastIndex(of: "/"), end != above.startIndex {
            above = above[..<end]
            if paths.contains(String(above)) { return true }
        }
        return false
    }
}
