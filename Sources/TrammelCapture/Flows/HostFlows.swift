import CNetfilter
import Glibc
import Synchronization
import TrammelCore

/// The flows of the host's own network namespace, which everybody shares there: told apart by whose they are.
///
/// The rules write into the mark of a connection whose it is, whether it goes to the agent or past it, so that one event
/// stream serves all members, and each event costs the same whatever their number. What bears no mark is a stranger's,
/// or escaped the rules: of TCP, and of DNS where any member's is captured, the socket is looked up, so many times a
/// second at most, and belongs to whom its cgroup's path or its user says.
///
/// Calls within the host are looked at as inbound ones alone: whom they come from does not capture them.
final class HostFlows: Sendable {
    private struct State: ~Copyable {
        var owners: HostOwners
        /// Flows that bear no mark of the member's that they are of.
        var unmarked: [UInt32: WatchedFlows] = [:]
        /// Marked for members of an agent before, which may have had other numbers.
        var foreign: Set<UInt32> = []
        var own: Set<IPAddress> = []
        var ownReadAt = MonotonicTime(nanoseconds: 0)
        var allowance = LookupAllowance()
        /// The kernel has left events out since the last look at the whole table.
        var hasLost = false
        var lookedAt = MonotonicTime(nanoseconds: 0)

        func isOwn(_ address: IPAddress) -> Bool { address.isLoopback || own.contains(address) }
    }

    /// A flow that should have gone to the agent by all that is known of it but its mark.
    private struct Candidate {
        let flow: ConntrackFlow
        let member: WatchedFlows
        let direction: TrafficDirection
        let socket: ObservedSocket?
    }

    let stream: FlowStream
    private let watch: Reporting
    private let state: Mutex<State>
    private let settings: CaptureSettings

    /// What this has to ask and tell.
    struct Reporting: Sendable {
        let translated: TranslatedClients
        /// Told of a leak, with the socket where it is known.
        let leak: @Sendable (WatchedFlows, ConntrackFlow, FlowKind, ObservedSocket?) -> Void
        /// Whether the rules turn what comes in at this port for the member.
        let turns: @Sendable (WatchedFlows, UInt16) -> Bool
    }

    /// In the host's namespace. What is there already is of an agent before, or older than the capture.
    init(agent: AgentCgroup, settings: CaptureSettings, _ watch: Reporting) throws {
        stream = FlowStream(.host, try ConntrackEventSocket(room: 4 * ConntrackEventSocket.room))
        self.watch = watch
        self.settings = settings
        let owners = HostOwners(agent: agent, settings: settings)
        var foreign: Set<UInt32> = []
        var table = try ConntrackSocket()
        try table.flows { if owners.isMarked($0) { foreign.insert($0.id) } }
        state = Mutex(State(owners: owners, foreign: foreign))
    }

    // MARK: Members

    /// From now on. What went past before is known by the ends that `plan` lists.
    func add(_ member: WatchedFlows, _ plan: CapturePlan) {
        state.withLock { state in
            state.owners.add(member)
            HostFlows.readAddresses(&state)
            member.state.withLock { $0.judge.own = state.own }
        }
        noteOlder(plan, of: member)
    }

    /// Flows that are older than the capture; nothing is read where there are none.
    func noteOlder(_ plan: CapturePlan, of member: WatchedFlows) {
        guard !plan.established.isEmpty else { return }
        let older = Set(plan.established)
        var flows: [ConntrackFlow] = []
        var table = try? ConntrackSocket()
        try? table?.flows { flow in
            guard flow.transport == UInt8(IPPROTO_TCP) else { return }
            if older.contains(flow.original) || older.contains(flow.original.reversed) { flows.append(flow) }
        }
        state.withLock { state in
            for flow in flows { note(flow, of: member, &state, isNew: false) }
        }
    }

    /// - Returns: whether nobody is left.
    func remove(_ member: WatchedFlows) -> Bool {
        state.withLock { state in
            state.owners.remove(member)
            state.unmarked = state.unmarked.filter { $0.value !== member }
            return state.owners.isEmpty
        }
    }

    // MARK: Events, on the reader's thread

    func take(_ events: [ConntrackEvent], hasLost: Bool) {
        let now = MonotonicTime.now()
        var leaks: [Candidate] = []
        let strangers = state.withLock { state in
            if hasLost {
                state.hasLost = true
                for member in state.owners.all { member.state.withLock { $0.eventsLost += 1 } }
            }
            var strangers: [(ConntrackFlow, Bool)] = []
            for event in events {
                switch event {
                case .new(let flow):
                    if let member = state.owners.member(flow) {
                        if let leak = note(flow, of: member, &state, isNew: true) { leaks.append(leak) }
                    } else if !state.owners.isMarked(flow), isOfInterest(flow, &state, at: now),
                        state.allowance.take(at: now)
                    {
                        let isToHere = state.isOwn(flow.original.destination.address)
                        strangers.append((flow, isToHere))
                    }
                case .destroyed(let flow): ended(flow, &state, at: now)
                }
            }
            return strangers
        }
        leaks += lookUp(strangers)
        confirm(leaks)
        if state.withLock({ $0.hasLost && now.nanoseconds(since: $0.lookedAt) > HostFlows.betweenLooks }) { look() }
    }

    /// Marked for the member, or known to be its by its socket.
    @discardableResult
    private func note(
        _ flow: ConntrackFlow, of member: WatchedFlows, _ state: inout State, isNew: Bool,
        _ socket: ObservedSocket? = nil
    ) -> Candidate? {
        if !member.knowsEnd(of: flow) {
            HostFlows.readAddresses(&state)
        }
        let suspect = member.state.withLock {
            $0.began(flow, isNew: isNew, at: .now(), translated: watch.translated)
        }
        if member.state.withLock({ $0.ledger.passing[flow.id] != nil }), state.owners.member(flow) !== member {
            state.unmarked[flow.id] = member
        }
        return suspect.map { Candidate(flow: flow, member: member, direction: $0.direction, socket: socket) }
    }

    private func ended(_ flow: ConntrackFlow, _ state: inout State, at now: MonotonicTime) {
        guard state.foreign.remove(flow.id) == nil,
            let member = state.unmarked.removeValue(forKey: flow.id) ?? state.owners.member(flow)
        else { return }
        member.state.withLock { state in
            // The rules see no datagram that comes in, and mark its flow by the first answer.
            if flow.transport != UInt8(IPPROTO_TCP), state.judge.isInbound(flow), !state.ledger.isFull {
                _ = state.began(flow, isNew: true, at: .now(), translated: watch.translated)
            }
            state.ended(flow, at: now)
        }
    }

    /// Whether somebody's socket is worth a look: what begins or ends here, and would have been captured of a member.
    private func isOfInterest(_ flow: ConntrackFlow, _ state: inout State, at now: MonotonicTime) -> Bool {
        let (source, destination) = (flow.original.source, flow.original.destination)
        guard flow.transport == UInt8(IPPROTO_TCP) || (flow.transport == UInt8(IPPROTO_UDP) && destination.port == 53)
        else { return false }
        if state.isOwn(source.address) || state.isOwn(destination.address) { return true }
        // It is forwarded for somebody, unless there is a new address.
        guard now.nanoseconds(since: state.ownReadAt) > HostFlows.addressesLast else { return false }
        HostFlows.readAddresses(&state)
        return state.isOwn(source.address) || state.isOwn(destination.address)
    }

    // MARK: Strangers and leaks

    /// Whose the flows are by their sockets: accounts for those that are a member's and not marked.
    private func lookUp(_ flows: [(ConntrackFlow, isToHere: Bool)]) -> [Candidate] {
        guard !flows.isEmpty, var diagnostics = try? SocketDiagnostics() else { return [] }
        return flows.compactMap { flow, isToHere in
            guard let (socket, isTheServers) = try? diagnostics.end(of: flow, isToHere: isToHere) else { return nil }
            return state.withLock { state in
                guard case .member(let member) = state.owners.owner(of: socket) else { return nil }
                let isLocal = member.state.withLock { $0.judge.verdict(flow) == .local }
                if isTheServers, !watch.turns(member, flow.original.destination.port) { return nil }
                if isLocal { return isTheServers ? local(flow, member, socket) : nil }
                if isTheServers {
                    let verdict = member.state.withLock { $0.isBypassed ? nil : $0.judge.verdict(flow) }
                    if verdict == .inbound {
                        return Candidate(flow: flow, member: member, direction: .inbound, socket: socket)
                    }
                }
                return note(flow, of: member, &state, isNew: true, socket)
            }
        }
    }

    /// A call within the host, to a member.
    private func local(_ flow: ConntrackFlow, _ member: WatchedFlows, _ socket: ObservedSocket) -> Candidate? {
        let isMeant = member.state.withLock { state in
            state.isBypassed || !flow.beganWithSYN
                || state.judge.exemption(.inbound, local: flow.original.destination, remote: flow.original.source)
                    != nil
        }
        return isMeant ? nil : Candidate(flow: flow, member: member, direction: .inbound, socket: socket)
    }

    /// A call within the host is told of before it comes in and is marked, so what looks like a leak is looked at anew
    /// a little later.
    private func confirm(_ candidates: [Candidate]) {
        guard !candidates.isEmpty, !unseen(candidates).isEmpty else { return }
        usleep(HostFlows.settling)
        for candidate in unseen(candidates) {
            let flow = candidate.flow
            let kind = FlowKind(FlowProtocol(number: flow.transport), candidate.direction, .leak)
            let isNew = state.withLock { state in
                let isNew = candidate.member.state.withLock { state in
                    guard state.ledger.passing[flow.id] == nil else { return false }
                    state.ledger.passed(flow, kind, at: .now())
                    return true
                }
                if isNew, state.owners.member(flow) !== candidate.member { state.unmarked[flow.id] = candidate.member }
                return isNew
            }
            if isNew { watch.leak(candidate.member, flow, kind, candidate.socket) }
        }
    }

    /// Those that nothing has been done about by now.
    private func unseen(_ candidates: [Candidate]) -> [Candidate] {
        guard var diagnostics = try? SocketDiagnostics(), var table = try? ConntrackSocket() else { return [] }
        return candidates.filter { candidate in
            let flow = candidate.flow
            guard let transport = ConntrackEntry.TransportProtocol(rawValue: flow.transport) else { return false }
            let entry = (try? table.entry(flow.original, .original, transport)).flatMap { $0 }
            guard candidate.direction == .inbound else {
                return entry.map { $0.mark == flow.mark || !isSeenTo($0) } ?? true
            }
            guard let entry, !isSeenTo(entry) else { return false }
            let taken = try? diagnostics.socket(flow.transport, flow.original.destination, flow.original.source)
            if let taken, case .agent = state.withLock({ $0.owners.owner(of: taken) }) { return false }
            return true
        }
    }

    private func isSeenTo(_ entry: ConntrackEntry) -> Bool {
        let marks = settings.marks
        return [marks.own, marks.upstream, marks.outbound, marks.datagrams].contains(entry.mark & marks.mask)
    }

    // MARK: The whole table

    /// Brings what living flows have carried up to date, and finds those that no event has told of. Costs the length of
    /// the table, once for all members.
    func refresh() {
        guard !state.withLock({ $0.owners.isEmpty }) else { return }
        look()
    }

    private func look() {
        state.withLock { $0.hasLost = false }
        var flows: [ConntrackFlow] = []
        do {
            var table = try ConntrackSocket()
            try table.flows { flows.append($0) }
        } catch {
            return
        }
        let counts = HostFlows.payload()
        let leaks = state.withLock { state in
            var leaks: [Candidate] = []
            var living: [ObjectIdentifier: Set<UInt32>] = [:]
            for found in flows {
                guard !state.foreign.contains(found.id),
                    let member = state.unmarked[found.id] ?? state.owners.member(found)
                else { continue }
                living[ObjectIdentifier(member), default: []].insert(found.id)
                let flow = counts.flatMap { found.counting($0) } ?? found
                let isKnown = member.state.withLock { state in
                    guard state.ledger.passing[flow.id] != nil || state.ledger.isFull else { return false }
                    state.ledger.update(flow)
                    return true
                }
                if !isKnown, let leak = note(flow, of: member, &state, isNew: false) { leaks.append(leak) }
            }
            for member in state.owners.all {
                member.state.withLock { $0.ledger.keepOnly(living[ObjectIdentifier(member)] ?? []) }
            }
            let all = Set(flows.map(\.id))
            state.unmarked = state.unmarked.filter { all.contains($0.key) }
            state.foreign.formIntersection(all)
            state.lookedAt = .now()
            return leaks
        }
        confirm(leaks)
    }

    /// What TCP connections have carried, by their sockets, where conntrack does not count; the host's sysctls are left
    /// as they are. Nil where it does.
    private static func payload() -> [ConntrackEntry.Tuple: ObservedSocket]? {
        guard !isCounting, var diagnostics = try? SocketDiagnostics() else { return nil }
        var found: [ConntrackEntry.Tuple: ObservedSocket] = [:]
        for family in CapturePlan.families {
            for socket in (try? diagnostics.observedSockets(family, states: NamespaceConnections.living)) ?? [] {
                found[NamespaceConnections.tuple(of: socket.info)] = socket
            }
        }
        return found
    }

    /// Whether conntrack counts packets and bytes in the network namespace of the calling thread.
    static var isCounting: Bool {
        (try? SystemFile.read("/proc/sys/net/netfilter/nf_conntrack_acct"))?.hasPrefix("1") ?? false
    }

    private static func readAddresses(_ state: inout State) {
        let now = MonotonicTime.now()
        guard now.nanoseconds(since: state.ownReadAt) > addressesLast / 10 else { return }
        state.ownReadAt = now
        guard var route = try? RouteSocket(), let addresses = try? route.addresses() else { return }
        let own = Set(addresses.map(\.address))
        guard own != state.own else { return }
        state.own = own
        for member in state.owners.all { member.state.withLock { $0.judge.own = own } }
    }

    /// In nanoseconds: after events were lost, the table is not looked at more often than this.
    private static let betweenLooks: UInt64 = 5_000_000_000
    private static let addressesLast: UInt64 = 10_000_000_000
    /// In microseconds: a packet on its way over lo is where it was going by then.
    private static let settling: UInt32 = 20_000
}

/// How many sockets may be looked for: what strangers begin on a busy host must not cost more than a hundredth of a core.
struct LookupAllowance {
    private static let perSecond: UInt64 = 500
    private var left = perSecond
    private var second: UInt64 = 0

    mutating func take(at now: MonotonicTime) -> Bool {
        let current = now.nanoseconds / 1_000_000_000
        if current != second {
            second = current
            left = LookupAllowance.perSecond
        }
        guard left > 0 else { return false }
        left -= 1
        return true
    }
}
