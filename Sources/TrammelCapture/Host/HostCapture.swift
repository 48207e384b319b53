import CNetfilter
import Glibc
import Synchronization
import TrammelCore

/// The members of the host and the table that holds them all, in the agent's own network namespace.
///
/// One lock, for there is one table: every change computes the whole of it and sends the kernel what differs from what
/// was sent before, in one transaction, so that no packet of another member ever meets a table without it.
final class HostCapture: Sendable {
    private struct Entry {
        var member: HostMember
        /// Whether the table holds it: its traffic is turned, or refused until it is.
        var stands: Bool
    }

    private struct State {
        var open: [WorkloadID: Entry] = [:]
        /// Members that nobody has open: of an agent before, or closed without being let go.
        var expected: [CaptureIdentity: HostMember] = [:]
        /// What the kernel holds, as far as this agent knows; nil before the first change and after the last.
        var installed: NftTable?
        /// Where to begin looking for a free index. An index that was given up is the last to be used again, since its
        /// listeners live as long as connections under way.
        var nextIndex = CapturePlace.hostIndices.lowerBound
    }

    private let settings: CaptureSettings
    private let cgroup: AgentCgroup
    private let state = Mutex(State())

    init(settings: CaptureSettings, cgroup: AgentCgroup) {
        self.settings = settings
        self.cgroup = cgroup
    }

    // MARK: Members

    /// Admits a workload, which the table does not know of yet unless it was expected.
    func open(_ id: WorkloadID, _ request: CaptureRequest, _ mode: CaptureMode) throws -> HostMember {
        try state.withLock { state in
            let identity = try HostCapture.identity(request.target)
            let before = state.expected[identity]
            let member = try member(request, mode, at: before?.index ?? freeIndex(&state))
            state.expected[identity] = nil
            state.open[id] = Entry(member: member, stands: before != nil)
            return member
        }
    }

    func expect(_ requests: [CaptureRequest]) throws {
        try state.withLock { state in
            state.expected = [:]
            let open = Set(state.open.values.map(\.member.identity))
            for request in requests where request.failureMode == .closed && request.target.isOfTheHost {
                let identity = try HostCapture.identity(request.target)
                guard !open.contains(identity) else { continue }
                // The mode makes no difference where nobody listens.
                state.expected[identity] = try member(
                    request, request.mode ?? .tproxy, at: freeIndex(&state))
            }
            try apply(&state)
        }
    }

    /// The table holds the member when this returns, whatever was there before.
    func install(_ id: WorkloadID) throws {
        try change(id, forced: true) { $0.stands = true }
    }

    func uninstall(_ id: WorkloadID) throws {
        try change(id) { $0.stands = false }
    }

    /// The table is as it should be when this returns, whatever others have made of it.
    func repair() throws {
        try state.withLock { state in
            guard state.installed != nil else { return }
            try apply(&state, isRepair: true)
        }
    }

    /// Forgets who has it open. If the table holds it, it goes on doing so.
    func close(_ id: WorkloadID) {
        state.withLock { state in
            guard let entry = state.open.removeValue(forKey: id), entry.stands else { return }
            state.expected[entry.member.identity] = entry.member
        }
    }

    func member(_ id: WorkloadID) throws -> HostMember {
        guard let entry = state.withLock({ $0.open[id] }) else { throw HostCapture.gone }
        return entry.member
    }

    /// - Returns: whether it was another.
    @discardableResult
    func select(_ selector: HostMember.Selector, for id: WorkloadID) throws -> Bool {
        guard try member(id).selector != selector else { return false }
        try change(id) { $0.member.selector = selector }
        return true
    }

    /// Whether new connections of the member come to the agent.
    /// - Parameter isLeaving: for good, so that its cgroup or user may be another member's.
    func set(_ phase: CapturePhase, isLeaving: Bool, for id: WorkloadID) throws {
        let member = try member(id)
        guard member.plan.phase != phase || member.isLeaving != isLeaving else { return }
        var plan = member.plan
        plan.phase = phase
        guard var changed = HostMember(plan, member.selector) else { throw HostCapture.gone }
        changed.isLeaving = isLeaving
        try change(id) { $0.member = changed }
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

    // MARK: The table

    /// What the kernel should hold; nil while it should hold nothing.
    var table: NftTable? { state.withLock { $0.installed } }

    /// A table of this one member, for the kernel to judge. Not by the name of the real one, whose removal would be
    /// tried along with it and costs the more the more members it has.
    func trial(_ request: CaptureRequest, _ mode: CaptureMode) throws -> NftTable {
        let member = try member(request, mode, at: CapturePlace.hostIndices.lowerBound)
        let name = CapturePlan.tableName + "_trial"
        return HostTable(name: name, settings: settings, agent: cgroup.reference, members: [member]).table
    }

    /// The table as it would be with one member more, and that member. Remembers nothing of it.
    /// - Parameter ports: those that a user would be captured on, given who owns which sockets.
    func foresee(
        _ request: CaptureRequest, _ mode: CaptureMode, ports: (HostOwnership) throws -> [UInt16]
    ) throws -> (member: HostMember, table: NftTable) {
        // A copy: of a free index, too, nothing is to be remembered.
        var state = state.withLock { $0 }
        let identity = try HostCapture.identity(request.target)
        var added = try member(request, mode, at: state.expected[identity]?.index ?? freeIndex(&state))
        state.expected[identity] = nil
        let standing = state.open.values.filter(\.stands).map(\.member) + state.expected.values
        if case .user(let user, _) = added.selector {
            added.selector = .user(user, ports: try ports(ownership(foreseen: added)))
        }
        let table = HostTable(
            settings: settings, agent: cgroup.reference, members: (standing + [added]).sorted { $0.index < $1.index }
        ).table
        return (added, table)
    }

    /// Who would own which of the host's sockets, asked for a member that may be.
    func ownership(foreseen member: HostMember) -> HostOwnership {
        let known = state.withLock { $0.open.values.map(\.member) + $0.expected.values }
        let others = known.filter { $0.identity != member.identity }
            .compactMap { if case .cgroup(let cgroup) = $0.selector { cgroup } else { nil } }
        return HostOwnership(member.selector, others: others + [cgroup.reference], mount: cgroup.mount)
    }

    private func change(_ id: WorkloadID, forced: Bool = false, _ body: (inout Entry) -> Void) throws {
        try state.withLock { state in
            guard let before = state.open[id] else { throw HostCapture.gone }
            var entry = before
            body(&entry)
            guard entry.stands || before.stands else {
                state.open[id] = entry
                return
            }
            state.open[id] = entry
            do {
                try apply(&state, isRepair: forced && before.stands)
            } catch {
                state.open[id] = before
                throw error
            }
        }
    }

    /// - Parameter isRepair: somebody else may have changed what was installed.
    private func apply(_ state: inout State, isRepair: Bool = false) throws {
        let members = state.open.values.filter(\.stands).map(\.member) + state.expected.values
        guard !members.isEmpty else {
            // What this agent has not put there is another's, or for `trammeld cleanup`.
            guard state.installed != nil else { return }
            try NamespaceCapture.remove()
            state.installed = nil
            return
        }
        let table = HostTable(
            settings: settings, agent: cgroup.reference, members: members.sorted { $0.index < $1.index }
        ).table
        var nft = try NftSocket()
        if let installed = state.installed, !isRepair {
            if try nft.update(from: installed, to: table) {
                state.installed = table
                return
            }
        }
        try NamespaceCapture.routing(
            settings, marks: HostTable.routedMarks(settings.marks),
            hasIPv6: ListenerSockets.hasIPv6())
        try nft.replace(table)
        state.installed = table
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

    private func freeIndex(_ state: inout State) throws -> UInt32 {
        let taken = Set(state.open.values.map(\.member.index) + state.expected.values.map(\.index))
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
