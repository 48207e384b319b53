import TrammelCore

/// Says a table of nftables in the words of iptables, for one family.
///
/// Every base chain becomes a chain of Trammel's that a built-in one of the fitting table jumps to. Where the two
/// differ:
/// - A rule has one target, so what takes two steps becomes a small chain, and a set becomes a rule for each member, or
///   a chain of its own where the rule wants what is *not* in it.
/// - `accept` of a base chain only ends that chain: there it is RETURN, and rules of others come next. Deeper down it
///   is ACCEPT, which ends the table.
/// - REJECT lives in the table filter only. A refusal sets the mark `refused` elsewhere and is carried out there.
/// - TPROXY drops what it finds no listener for, where nftables goes on to the next rule. So packets of connections
///   that have a socket are let by first; a connection that nobody listens for is dropped rather than reset.
/// - `socket wildcard 0` has no counterpart in OUTPUT. What it tells apart, an application's connection from answers of
///   the kernel's own, is told by conntrack: the connection began with a packet from here, and not with the agent's, which
///   leaves a mark on its connections for that.
struct IptablesTranslation {
    private let source: NftTable
    private let family: IPAddress.Family
    private let marks: CaptureSettings.Marks
    private var result: IptablesRuleset

    /// Where the rules of a chain go, and what surrounds them.
    private struct Place {
        let table: IptablesRuleset.TableName
        let chain: String
        /// Whether a built-in chain jumps here itself, so that RETURN lets rules of others come next.
        let isBase: Bool

        var leave: String { isBase ? "-j RETURN" : "-j ACCEPT" }
    }

    static func translate(
        _ table: NftTable, family: IPAddress.Family, marks: CaptureSettings.Marks
    ) throws -> IptablesRuleset {
        var translation = IptablesTranslation(
            source: table, family: family, marks: marks, result: IptablesRuleset(family: family))
        guard !table.isOwned else { throw cannot("let go of traffic when the agent dies (failure mode open)") }
        for chain in table.chains {
            guard let hook = chain.hook else { continue }
            try translation.add(base: chain, hook)
        }
        if let comment = table.comment { translation.note(comment) }
        return translation.result
    }

    // MARK: Chains

    private mutating func add(base chain: NftChain, _ hook: NftChain.Hook) throws {
        let (table, builtIn) = try IptablesTranslation.place(of: hook, chain.name)
        var name = IptablesRuleset.prefix + builtIn
        if result[table]?.chains.contains(where: { $0.name == name }) ?? false {
            name = IptablesTranslation.name(of: chain.name)
        }
        result.edit(table) { $0.jumps.append(.init(builtIn: builtIn, chain: name)) }
        try add(chain, at: Place(table: table, chain: name, isBase: true))
    }

    private mutating func add(_ chain: NftChain, at place: Place) throws {
        result.edit(place.table) { $0.chains.append(.init(name: place.chain)) }
        for rule in chain.rules { try add(rule, at: place) }
    }

    private static func place(
        of hook: NftChain.Hook, _ chain: String
    ) throws -> (IptablesRuleset.TableName, String) {
        switch (hook.kind, hook.point) {
        case (.filter, .prerouting): (.mangle, "PREROUTING")
        case (.filter, .output), (.route, .output): (.mangle, "OUTPUT")
        case (.nat, .output): (.nat, "OUTPUT")
        default: throw cannot("hold the chain \(chain): \(hook.text)")
        }
    }

    /// At most 28 characters, which is what the kernel's older tables hold.
    private static func name(of chain: String) -> String {
        IptablesRuleset.prefix + String(chain.uppercased().prefix(20))
    }

    private mutating func append(_ rule: IptablesRule, to place: Place) {
        result.edit(place.table) { table in
            guard let index = table.chains.firstIndex(where: { $0.name == place.chain }) else { return }
            table.chains[index].rules.append(rule)
        }
    }

    /// A new chain for what one rule of `place` needs more than one rule for.
    private mutating func chain(below place: Place) -> Place {
        let taken = Set(result[place.table]?.chains.map(\.name) ?? [])
        var number = 1
        while taken.contains("\(place.chain)_\(number)") { number += 1 }
        let name = "\(place.chain)_\(number)"
        result.edit(place.table) { $0.chains.append(.init(name: name)) }
        return Place(table: place.table, chain: name, isBase: false)
    }

    /// The chain of that name in the table, made of `targets` where it is not there yet.
    private mutating func shared(_ name: String, _ targets: [String], in table: IptablesRuleset.TableName) {
        guard !(result[table]?.chains.contains { $0.name == name } ?? false) else { return }
        let rules = targets.map { target in
            var rule = IptablesRule()
            rule.target = target
            return rule
        }
        result.edit(table) { $0.chains.append(.init(name: name, rules: rules)) }
    }

    private mutating func note(_ comment: String) {
        var rule = IptablesRule()
        rule.comment = comment
        rule.target = "-j RETURN"
        result.edit(.mangle) { $0.chains.append(.init(name: IptablesRuleset.noteChain, rules: [rule])) }
    }

    private func mark(_ value: UInt32) -> NftMatch.Mark { NftMatch.Mark(value: value, mask: marks.mask) }

    /// Whether rules have to tell the connections of an application from the agent's.
    private var asksWhose: Bool {
        source.chains.contains { $0.rules.contains { $0.matches.contains(.socketBound) } }
    }

    // MARK: Rules

    private mutating func add(_ rule: NftRule, at place: Place) throws {
        if isRemembering(rule, at: place) { return }
        var base = IptablesRule()
        var choices: [IptablesChoice] = []
        for match in rule.matches {
            if match == .socketBound {
                choices.append(IptablesMatching.ofAnApplication(mark(marks.outbound), agents: mark(marks.own)))
                continue
            }
            guard let (more, choice) = try IptablesMatching.translate(match, family, sets: source.sets),
                let both = base.and(more)
            else { return }
            base = both
            if let choice { choices.append(choice) }
        }
        base.comment = rule.comment
        try expand(rule, base, choices[...], at: place)
    }

    /// Whether the rule is about remembering who has sent what, which conntrack does here; one that leaves the agent's
    /// own sockets out of it among them, as iptables can tell those by what they send only.
    private func isRemembering(_ rule: NftRule, at place: Place) -> Bool {
        func remembers(_ rule: NftRule) -> Bool {
            rule.statements.contains { if case .rememberFlow = $0 { true } else { false } }
        }
        if remembers(rule) { return true }
        let isAboutSockets = rule.matches.contains { if case .socketCgroup = $0 { true } else { false } }
        return isAboutSockets && rule.statements == [.accept] && rule.matches.contains(.transport(.udp))
            && place.chain == IptablesRuleset.prefix + "PREROUTING"
    }

    /// Writes the rule for every member of what it has to choose from.
    private mutating func expand(
        _ rule: NftRule, _ base: IptablesRule, _ choices: ArraySlice<IptablesChoice>, at place: Place
    ) throws {
        guard let choice = choices.first else {
            for (more, target) in try steps(of: rule, base, at: place) {
                guard var step = base.and(more) else { continue }
                step.target = target
                append(step, to: place)
            }
            return
        }
        if choice.isWanted, choices.count == 1 {
            for member in choice.members {
                if let both = base.and(member) { try expand(rule, both, [], at: place) }
            }
            return
        }
        // In a chain of its own: what is not wanted goes back, and what comes through is looked at for the rest.
        let inner = chain(below: place)
        var entry = base
        entry.target = "-j \(inner.chain)"
        append(entry, to: place)
        let next = choice.isWanted ? chain(below: place) : inner
        for member in choice.members {
            var step = member
            step.target = choice.isWanted ? "-g \(next.chain)" : "-j RETURN"
            append(step, to: inner)
        }
        // Said again, since a port means nothing without its transport.
        var rest = IptablesRule()
        rest.transport = base.transport
        try expand(rule, rest, choices.dropFirst(), at: next)
    }

    // MARK: Statements

    /// What becomes of a packet that matches: targets, each with what it asks for besides.
    private mutating func steps(
        of rule: NftRule, _ base: IptablesRule, at place: Place
    ) throws -> [(IptablesRule, String)] {
        let statements = rule.statements.filter {
            // Every rule of iptables counts.
            switch $0 {
            case .counter, .counted: false
            default: true
            }
        }
        func one(_ target: String) -> [(IptablesRule, String)] { [(IptablesRule(), target)] }
        let rest = statements.dropFirst()
        switch statements.first {
        case nil: return one("")
        case .accept? where rest.isEmpty:
            let isAgents = rule.matches.contains { if case .socketCgroup = $0 { true } else { false } }
            return one(isAgents && asksWhose && place.isBase ? markConnection(at: place) : place.leave)
        case .drop? where rest.isEmpty: return one("-j DROP")
        case .rejectWithReset? where rest.isEmpty: return one(refuse(at: place))
        case .rejectUnreachable? where rest.isEmpty: return one(refuse(at: place))
        case .redirect(let port)? where rest.isEmpty: return one("-j REDIRECT --to-ports \(port)")
        case .jump(let chain)? where rest.isEmpty: return one("-j " + (try jump(chain, from: place)))
        case .setMark(let mark)? where rest.isEmpty: return one(IptablesMatching.set(mark))
        case .setMark(let mark)? where rest == [.accept]: return one(self.mark(mark, at: place))
        case .markFlow(let mark)? where rest.isEmpty: return one(IptablesMatching.setConntrack(mark))
        case .markFlow(let mark)? where rest == [.accept]:
            return one(self.mark(mark, IptablesMatching.setConntrack(mark), "CTMARK", at: place))
        case .tproxy(let address, let port)? where rest.isEmpty || rest == [.accept]:
            return tproxy(address, port, nil, base, at: place)
        case .tproxy(let address, let port)? where rest.count == 2 && rest.last == .accept:
            guard case .setMark(let mark)? = rest.first else { fallthrough }
            return tproxy(address, port, mark, base, at: place)
        default:
            throw IptablesTranslation.cannot("say the rule '\(rule.text)'")
        }
    }

    /// Marks and leaves, in a chain of two steps. From a base chain by goto, so that its end is the end of that one too.
    private mutating func mark(_ mark: NftMatch.Mark, at place: Place) -> String {
        self.mark(mark, IptablesMatching.set(mark), "MARK", at: place)
    }

    /// - Parameter set: the target that does it.
    private mutating func mark(
        _ mark: NftMatch.Mark, _ set: String, _ word: String, at place: Place
    ) -> String {
        let name = "\(IptablesRuleset.prefix)\(word)_\(String(mark.value, radix: 16).uppercased())"
        guard place.isBase else {
            shared(name + "_END", [set, "-j ACCEPT"], in: place.table)
            return "-g \(name)_END"
        }
        shared(name, [set], in: place.table)
        return "-g \(name)"
    }

    /// Leaves with the connection marked: the agent's own, or an application's that it has taken and answers.
    private mutating func markConnection(at place: Place) -> String {
        let name = IptablesRuleset.prefix + "AGENT"
        guard !(result[place.table]?.chains.contains { $0.name == name } ?? false) else { return "-g \(name)" }
        let taken = mark(marks.outbound)
        var answer = IptablesRule()
        answer.modules = [IptablesMatching.isMarked(taken)]
        answer.target = IptablesMatching.setConntrack(taken)
        var own = IptablesRule()
        own.modules = [IptablesMatching.isMarked(taken, false)]
        own.target = IptablesMatching.setConntrack(mark(marks.own))
        result.edit(place.table) { $0.chains.append(.init(name: name, rules: [answer, own])) }
        return "-g \(name)"
    }

    /// Marks what is to be refused, and has the table filter do it.
    private mutating func refuse(at place: Place) -> String {
        if result[.filter] == nil {
            let name = IptablesRuleset.prefix + "REFUSE"
            var stream = IptablesRule()
            stream.transport = .tcp
            // A reset is not answered by another, and the one that is sent bears the mark too (fwmark_reflect).
            stream.flags = .init(.reset, false)
            stream.modules = [IptablesMatching.isMarked(mark(marks.refused))]
            stream.target = "-j REJECT --reject-with tcp-reset"
            var datagram = IptablesRule()
            datagram.transport = .udp
            datagram.modules = stream.modules
            datagram.target = "-j REJECT --reject-with \(family == .v4 ? "icmp" : "icmp6")-port-unreachable"
            result.edit(.filter) { table in
                table.chains.append(.init(name: name, rules: [stream, datagram]))
                table.jumps = ["INPUT", "FORWARD", "OUTPUT"].map { .init(builtIn: $0, chain: name) }
            }
        }
        return mark(mark(marks.refused), at: place)
    }

    private func tproxy(
        _ address: IPAddress, _ port: UInt16, _ mark: NftMatch.Mark?, _ base: IptablesRule, at place: Place
    ) -> [(IptablesRule, String)] {
        guard address.family == family else { return [] }
        let field = mark.map(IptablesMatching.word) ?? "0x0/0x0"
        let target = "-j TPROXY --on-port \(port) --on-ip \(address) --tproxy-mark \(field)"
        let isLater = base.flags == .init(.first, false)
        guard base.transport == .tcp, base.flags == nil || isLater else { return [(IptablesRule(), target)] }
        var living = IptablesRule()
        if !isLater { living.flags = .init(.first, false) }
        living.modules = ["-m socket"]
        return [(living, place.leave), (IptablesRule(), target)]
    }

    /// The chain jumped to, made in this table the first time something there jumps to it.
    private mutating func jump(_ chain: String, from place: Place) throws -> String {
        let name = IptablesTranslation.name(of: chain)
        if !(result[place.table]?.chains.contains { $0.name == name } ?? false) {
            guard let target = source.chains.first(where: { $0.name == chain && $0.hook == nil }) else {
                throw IptablesTranslation.cannot("jump to the chain \(chain), which is not there")
            }
            try add(target, at: Place(table: place.table, chain: name, isBase: false))
        }
        return name
    }

    static func cannot(_ what: String) -> TrammelError {
        TrammelError(
            .invalid, code: "iptables-cannot", "the iptables backend cannot \(what)",
            hint: "leave it out, or set captureBackend: nftables in trammeld.yaml where the kernel has nftables")
    }
}
