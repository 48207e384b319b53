import CNetfilter
import Glibc
import Synchronization
import TrammelCore

/// The members of the host and the tables that hold them all, in the agent's own network namespace: one that outlives
/// the agent, and for members that fail open one that goes with it.
///
/// One lock, for the members share the tables: every change computes the whole of each and sends the kernel what differs
/// from what was sent before, in one transaction for a table, so that no packet of another member ever meets a table
/// without it.
final class HostCapture: Sendable {
    private struct Entry {
        var member: HostMember
        /// Whether the table holds it: its traffic is turned, or refused until it is.
        var stands: Bool
        /// Whether it has been installed since it was opened.
        var isInstalled = false
        /// Whether the table held it already when it was opened and has ever since, so that its new connections were
        /// refused until it was installed.
        var wasHeldBack: Bool
    }

    private struct State {
        var open: [WorkloadID: Entry] = [:]
        /// Members that nobody has open: of an agent before, or closed without being let go. Those that fail open are
        /// let past until somebody has.
        var expected: [CaptureIdentity: HostMember] = [:]
        /// What was under way when the table had come to hold them.
        var underWay = HostConnections()
        /// What the kernel holds, as far as this agent knows; nil before the first change and after the last.
        var installed: NftTable?
        /// The members in it, by index.
        var held: [UInt32: HostMember] = [:]
        /// The same of the table that goes with the agent; nil while no member needs one.
        var installedOpen: NftTable?
        /// Whom that table claims.
        var claims: Set<HostMember.Selector> = []
        /// Holds that table.
        var owner: TableOwner?
        /// Where to begin looking for a free index. An index that was given up is the last to be used again, since its
        /// listeners live as long as connections under way.
        var nextIndex = CapturePlace.hostIndices.lowerBound

        var taken: Set<UInt32> { Set(open.values.map(\.member.index) + expected.values.map(\.index)) }
    }

    let settings: CaptureSettings
    private let cgroup: AgentCgroup
    private let keeper: ListenerKeeper
    private let state = Mutex(State())

    init(settings: CaptureSettings, cgroup: AgentCgroup, keeper: ListenerKeeper) {
        self.settings = settings
        self.cgroup = cgroup
        self.keeper = keeper
    }

    // MARK: Members

    /// Admits a workload, which the table does not know of yet unless it was expected.
    func open(_ id: WorkloadID, _ request: CaptureRequest, _ mode: CaptureMode) throws -> HostMember {
        try state.withLock { state in
            let identity = try HostCapture.identity(request.target)
            let before = state.expected[identity]
            var member = try member(request, mode, at: before?.index ?? freeIndex(&state))
            // The very same where nothing has changed, so that its install need not look for what has.
            if let before, before.plan == member.plan, before.selector == member.selector { member = before }
            state.expected[identity] = nil
            let isHeldBack = before.map { !$0.isOwned } ?? false
            state.open[id] = Entry(member: member, stands: isHeldBack, wasHeldBack: isHeldBack)
            return member
        }
    }

    func expect(_ members: [ExpectedMember]) throws {
        try state.withLock { state in
            state.expected = [:]
            let open = Set(state.open.values.map(\.member.identity))
            // Those first whose place is known, lest another has it.
            for expected in members.filter({ $0.index != nil }) + members.filter({ $0.index == nil })
            where expected.request.target.isOfTheHost {
                let request = expected.request
                let identity = try HostCapture.identity(request.target)
                guard !open.contains(identity) else { continue }
                // The mode makes no difference where nobody listens.
                state.expected[identity] = try member(
                    request, request.mode ?? .tproxy, at: place(of: expected, &state))
            }
            try apply(&state)
            // One list for all of them, for it takes long.
            let areHeldBack = state.expected.values.contains { !$0.isOwned }
            state.underWay = areHeldBack ? try HostConnections.list() : HostConnections()
        }
    }

    /// The table holds the member when this returns. A second time, whatever others have made of the table is mended.
    func install(_ id: WorkloadID) throws {
        try change(id, isRepair: \.isInstalled) {
            $0.stands = true
            $0.isInstalled = true
        }
    }

    func uninstall(_ id: WorkloadID) throws {
        try change(id) {
            $0.stands = false
            $0.isInstalled = false
            $0.wasHeldBack = false
        }
    }

    /// The tables of these names, and the routing, are as they should be when this returns, whatever others have made of
    /// them.
    func repair(_ tables: Set<String>) throws {
        try state.withLock { state in
            guard state.installed != nil else { return }
            try routing()
            try apply(&state, repairing: tables)
        }
    }

    /// Forgets who has it open. If a table holds it that outlives the agent, it goes on doing so.
    func close(_ id: WorkloadID) {
        state.withLock { state in
            guard let entry = state.open.removeValue(forKey: id), entry.stands else { return }
            guard entry.member.isOwned else {
                state.expected[entry.member.identity] = entry.member
                return
            }
            // Should the kernel refuse, a look finds what it holds and nobody wants.
            try? apply(&state)
        }
    }

    func member(_ id: WorkloadID) throws -> HostMember {
        guard let entry = state.withLock({ $0.open[id] }) else { throw HostCapture.gone }
        return entry.member
    }

    /// - Returns: whether it was another.
    @discardableResult
    func select(_ selector: HostMember.Selector, for id: WorkloadID) throws -> Bool {
        let member = try member(id)
        guard member.selector != selector else { return false }
        guard let changed = HostMember(member.plan, selector, isLeaving: member.isLeaving) else {
            throw HostCapture.gone
        }
        try change(id) { $0.member = changed }
        return true
    }

    /// Whether new connections of the member come to the agent.
    /// - Parameter isLeaving: for good, so that its cgroup or user may be another member's.
    func set(_ phase: CapturePhase, isLeaving: Bool, for id: WorkloadID) throws {
        let member = try member(id)
        guard member.plan.phase != phase || member.isLeaving != isLeaving else { return }
        var plan = member.plan
        plan.phase = phase
        guard let changed = HostMember(plan, member.selector, isLeaving: isLeaving) else { throw HostCapture.gone }
        try change(id) { $0.member = changed }
    }

    /// The same for many, in one step for all of them; those that are leaving are let be.
    func set(_ phase: CapturePhase, for ids: [WorkloadID]) throws {
        try state.withLock { state in
            let before = state.open
            for id in ids {
                guard let entry = before[id], entry.stands, entry.member.plan.phase != phase, !entry.member.isLeaving
                else { continue }
                var plan = entry.member.plan
                plan.phase = phase
                if let changed = HostMember(plan, entry.member.selector) { state.open[id]?.member = changed }
            }
            do {
                try apply(&state)
            } catch {
                state.open = before
                throw error
            }
        }
    }

    /// Who owns which of the host's sockets, asked for one member.
    func ownership(_ id: WorkloadID) throws -> HostOwnership {
        let (selector, others) = try state.withLock { state in
            guard let entry = state.open[id] else { throw HostCapture.gone }
            let others = (state.open.filter { $0.key != id }.map(\.value.member) + state.expected.values)
                .compactMap { if case .cgroup(let cgroup) = $0.selector { cgroup } else { nil } }
            return (entry.member.selector, others)
        }
        return HostOwnership(selector, others: others + [cgroup.reference], mount: cgroup.mount)
    }

    /// The connections of a member that were under way before its new ones came to be refused: all that it had when it was
    /// opened, and none of them comes to the agent. Nil for a member that was not held back.
    func connectionsBefore(_ id: WorkloadID) throws -> [ConntrackEntry.Tuple]? {
        guard let known = state.withLock({ $0.open[id]?.wasHeldBack == true ? $0.underWay : nil }) else { return nil }
        return known.isEmpty ? [] : known.tuples(of: try ownership(id))
    }

    // MARK: The tables

    /// Holds the table that goes with the agent, where there is one.
    var owners: [TableOwner] { state.withLock { [$0.owner].compactMap(\.self) } }

    /// What the kernel should hold: nothing, or the one that outlives the agent first.
    var tables: [NftTable] { state.withLock { [$0.installed, $0.installedOpen].compactMap(\.self) } }

    /// The one that a member's rules stand in.
    func table(of id: WorkloadID) -> NftTable? {
        state.withLock { state in
            guard let entry = state.open[id] else { return nil }
            return entry.member.isOwned ? state.installedOpen : state.installed
        }
    }

    /// Whether new connections of anybody are to come to the agent, or to be refused until they do.
    var isCapturing: Bool {
        state.withLock { state in
            state.open.values.contains { $0.stands && $0.member.plan.phase == .capturing }
                || state.expected.values.contains { !$0.isOwned }
        }
    }

    /// A table of this one member, for the kernel to judge. Not by the name of the real one, whose removal would be
    /// tried along with it and costs the more the more members it has.
    func trial(_ request: CaptureRequest, _ mode: CaptureMode) throws -> NftTable {
        let member = try member(request, mode, at: CapturePlace.hostIndices.lowerBound)
        let name = CapturePlan.tableName + "_trial"
        return HostTable(
            name: name, isOwned: member.isOwned, settings: settings, agent: cgroup.reference, members: [member]
        ).table
    }

    /// A member that may come, and the table that its rules would stand in; the other one too, where that holds nothing
    /// but the note. Remembers nothing of it.
    /// - Parameter ports: those that a user would be captured on, given who owns which sockets.
    func foresee(
        _ request: CaptureRequest, _ mode: CaptureMode, ports: (HostOwnership) throws -> [UInt16]
    ) throws -> (member: HostMember, tables: [NftTable]) {
        // A copy: of a free index, too, nothing is to be remembered.
        var state = state.withLock { $0 }
        let identity = try HostCapture.identity(request.target)
        var added = try member(request, mode, at: state.expected[identity]?.index ?? freeIndex(&state))
        state.expected[identity] = nil
        if case .user(let user, _) = added.selector {
            let selector = HostMember.Selector.user(user, ports: try ports(ownership(foreseen: added)))
            added = HostMember(added.plan, selector) ?? added
        }
        state.open[WorkloadID(rawValue: .max)] = Entry(member: added, stands: true, wasHeldBack: false)
        let wanted = wanted(state)
        return (added, [added.isOwned ? wanted.openTable : wanted.lastingTable, wanted.note].compactMap(\.self))
    }

    /// Who would own which of the host's sockets, asked for a member that may be.
    func ownership(foreseen member: HostMember) -> HostOwnership {
        let known = state.withLock { $0.open.values.map(\.member) + $0.expected.values }
        let others = known.filter { $0.identity != member.identity }
            .compactMap { if case .cgroup(let cgroup) = $0.selector { cgroup } else { nil } }
        return HostOwnership(member.selector, others: others + [cgroup.reference], mount: cgroup.mount)
    }

    /// The table that outlives the agent where it holds nothing but the note, for members of the other one.
    var note: NftTable? { state.withLock { $0.installed.flatMap { $0.chains.isEmpty ? $0 : nil } } }

    /// - Parameter isRepair: asked of the member as it was before.
    private func change(
        _ id: WorkloadID, isRepair: (Entry) -> Bool = { _ in false }, _ body: (inout Entry) -> Void
    ) throws {
        try state.withLock { state in
            guard let before = state.open[id] else { throw HostCapture.gone }
            var entry = before
            body(&entry)
            state.open[id] = entry
            guard entry.stands || before.stands else { return }
            let isRepair = isRepair(before)
            // As it is for one that was expected and is installed now.
            if entry.stands, !isRepair, state.held[entry.member.index] === entry.member { return }
            do {
                try apply(&state, repairing: isRepair ? [CapturePlan.tableName, HostTable.openName] : [])
            } catch {
                state.open[id] = before
                throw error
            }
        }
    }

    /// - Parameter repairing: tables that somebody else may have changed since they were installed.
    private func apply(_ state: inout State, repairing: Set<String> = []) throws {
        let wanted = wanted(state)
        guard let lastingTable = wanted.lastingTable else {
            // What this agent has not put there is another's, or for `trammeld cleanup`.
            guard state.installed != nil else { return }
            try put(open: nil, claiming: [], &state)
            try NamespaceCapture.remove()
            (state.installed, state.held) = (nil, [:])
            return
        }
        // Whoever moves from one to the other is claimed by both for a moment, and never by neither.
        let isFirst = !wanted.claims.isSubset(of: state.claims)
        func putOpen() throws {
            try put(
                open: wanted.openTable, claiming: wanted.claims,
                isRepair: repairing.contains(HostTable.openName), &state)
        }
        if isFirst { try putOpen() }
        try put(lasting: lastingTable, isRepair: repairing.contains(CapturePlan.tableName), &state)
        state.held = Dictionary(wanted.lasting.map { ($0.index, $0) }) { first, _ in first }
        if !isFirst { try putOpen() }
    }

    /// What the kernel should hold.
    private struct Wanted {
        let lasting: [HostMember]
        /// Nil where it should hold nothing at all.
        let lastingTable: NftTable?
        let openTable: NftTable?
        let claims: Set<HostMember.Selector>

        var note: NftTable? { lastingTable.flatMap { $0.chains.isEmpty ? $0 : nil } }
    }

    private func wanted(_ state: State) -> Wanted {
        let standing = state.open.values.filter(\.stands).map(\.member)
        let expected = state.expected.values.filter { !$0.isOwned }
        let (open, lasting) = (standing.filter(\.isOwned), standing.filter { !$0.isOwned } + expected)
        let past = state.expected.values.filter(\.isOwned)
        return Wanted(
            lasting: lasting,
            lastingTable: open.isEmpty && lasting.isEmpty
                ? nil : table(CapturePlan.tableName, of: lasting, besides: open + past),
            openTable: open.isEmpty ? nil : table(HostTable.openName, of: open, besides: lasting + past),
            claims: Set(open.map(\.selector)))
    }

    private func table(_ name: String, of members: [HostMember], besides others: [HostMember]) -> NftTable {
        // Without a chain it keeps the note for those in the other one.
        guard !members.isEmpty else { return NftTable(name: name, comment: HostTable.comment) }
        return HostTable(
            name: name, isOwned: name == HostTable.openName, settings: settings, agent: cgroup.reference,
            members: members.sorted { $0.index < $1.index }, others: others.sorted { $0.index < $1.index }
        ).table
    }

    private func put(lasting table: NftTable, isRepair: Bool, _ state: inout State) throws {
        var nft = try NftSocket()
        if let installed = state.installed, !isRepair, try nft.update(from: installed, to: table) {
            state.installed = table
            return
        }
        try routing()
        try nft.replace(table)
        state.installed = table
    }

    private func put(
        open table: NftTable?, claiming claims: Set<HostMember.Selector>, isRepair: Bool = false, _ state: inout State
    ) throws {
        if let table {
            let owner = try state.owner ?? TableOwner(keeper.kept)
            state.owner = owner
            let installed = isRepair ? nil : state.installedOpen
            guard installed != table else { return }
            if state.installed == nil { try routing() }
            try owner.put(table, over: installed)
        } else {
            // In two steps: a packet that is being judged at this moment would find the maps of a table that is removed
            // empty, and be refused as nobody's.
            if let installed = state.installedOpen { try? state.owner?.put(installed.disarmed, over: installed) }
            try state.owner?.remove(tableNamed: HostTable.openName)
            state.owner = nil
        }
        state.installedOpen = table
        state.claims = claims
    }

    /// What turns marked packets to lo.
    private func routing() throws {
        try NamespaceCapture.routing(
            settings, marks: HostTable.routedMarks(settings.marks),
            hasIPv6: ListenerSockets.hasIPv6())
    }

    private func member(_ request: CaptureRequest, _ mode: CaptureMode, at index: UInt32) throws -> HostMember {
        var plan = CapturePlan(settings: settings, request: request, agent: cgroup.reference, outboundMode: mode)
        plan.place = .host(index)
        let selector: HostMember.Selector? =
            switch request.target {
            case .cgroup(let cgroup): .cgroup(cgroup)
            case .user(let user): .user(user, ports: [])
            case .namespace: nil
            }
        guard let selector, let member = HostMember(plan, selector) else {
            throw TrammelError(.internal, code: "host-member", "\(request.target) is not of the host")
        }
        return member
    }

    /// Where it was before, unless another is there: the listeners that have lived on are bound to its addresses.
    private func place(of expected: ExpectedMember, _ state: inout State) throws -> UInt32 {
        guard let index = expected.index, CapturePlace.hostIndices.contains(index), !state.taken.contains(index) else {
            return try freeIndex(&state)
        }
        return index
    }

    private func freeIndex(_ state: inout State) throws -> UInt32 {
        let taken = state.taken
        let all = CapturePlace.hostIndices
        let free = [state.nextIndex...all.upperBound, all].lazy.compactMap { $0.first { !taken.contains($0) } }.first
        guard let free else {
            throw TrammelError(
                .unavailable, code: "host-full",
                "\(taken.count) cgroups and users of the host are attached, and there are no more addresses for others",
                hint: "attach a slice that holds several units")
        }
        state.nextIndex = free == all.upperBound ? all.lowerBound : free + 1
        return free
    }

    static func identity(_ target: CaptureTarget) throws -> CaptureIdentity {
        switch target {
        case .cgroup(let cgroup): .cgroup(cgroup.path)
        case .user(let user): .user(user)
        case .namespace(let namespace): .namespace(try NetworkNamespace(namespace).identity)
        }
    }

    private static var gone: TrammelError {
        TrammelError(.notFound, code: "workload-gone", "the workload is not attached any more")
    }
}

/// A member of the host that was attached before.
package struct ExpectedMember: Sendable {
    package let request: CaptureRequest
    /// Its place among the members, as `CapturePlan.hostIndex` has told; nil where that is not known.
    package let index: UInt32?

    package init(_ request: CaptureRequest, at index: UInt32? = nil) {
        self.request = request
        self.index = index
    }
}

extension CaptureTarget {
    /// Whether it lives in the agent's own network namespace.
    package var isOfTheHost: Bool {
        if case .namespace = self { false } else { true }
    }
}

extension NftSocket {
    /// Sends what differs, in one transaction.
    /// - Returns: false where that cannot be: the change is of another kind, or `old` is not what is installed.
    mutating func update(from old: NftTable, to new: NftTable) throws -> Bool {
        guard old != new else { return true }
        guard let messages = try NftEncoder.update(from: old, to: new) else { return false }
        do {
            try socket.transact(messages)
            return true
        } catch is NetlinkFailure {
            return false
        }
    }
}
