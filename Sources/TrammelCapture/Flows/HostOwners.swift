import TrammelCore

/// Whose of the host's members a flow or a socket is. A value, changed under its owner's lock; a question costs the
/// same for one member and for five hundred.
struct HostOwners: ~Copyable {
    /// By what the rules have written into the connection's mark, or made its answers come from.
    private var indices: [UInt32: WatchedFlows] = [:]
    private var cgroups: [String: WatchedFlows] = [:]
    private var users: [UInt32: WatchedFlows] = [:]
    private var names: CgroupNames
    private let agent: String
    private let marks: CaptureSettings.Marks
    private let ports: Set<UInt16>

    init(agent: AgentCgroup, settings: CaptureSettings) {
        names = CgroupNames(mount: agent.mount)
        self.agent = agent.reference.path
        marks = settings.marks
        ports = Set(settings.ports.all)
    }

    var isEmpty: Bool { indices.isEmpty }
    var all: [WatchedFlows] { Array(indices.values) }

    mutating func add(_ member: WatchedFlows) {
        guard let index = member.workload.plan.place.hostIndex else { return }
        indices[index] = member
        switch member.workload.identity {
        case .cgroup(let path): cgroups[path] = member
        case .user(let user): users[user] = member
        case .namespace: break
        }
    }

    /// One that has taken its place already stays.
    mutating func remove(_ member: WatchedFlows) {
        guard let index = member.workload.plan.place.hostIndex else { return }
        if indices[index] === member { indices[index] = nil }
        switch member.workload.identity {
        case .cgroup(let path): if cgroups[path] === member { cgroups[path] = nil }
        case .user(let user): if users[user] === member { users[user] = nil }
        case .namespace: break
        }
    }

    // MARK: By what the rules say

    /// Whether the rules have seen to the flow: it is the agent's own, or one of a member's.
    func isMarked(_ flow: ConntrackFlow) -> Bool { Self.index(flow, marks, ports) != nil || isAgents(flow) }

    func isAgents(_ flow: ConntrackFlow) -> Bool { [marks.own, marks.upstream].contains(flow.mark & marks.mask) }

    /// Whose the flow is, as the rules have it. Nil for a stranger's, and for one of whose member nothing is known here.
    func member(_ flow: ConntrackFlow) -> WatchedFlows? { Self.index(flow, marks, ports).flatMap { indices[$0] } }

    /// The member's number: of what is marked, or answered from a member's listener.
    static func index(_ flow: ConntrackFlow, _ marks: CaptureSettings.Marks, _ ports: Set<UInt16>) -> UInt32? {
        if [marks.passed, marks.outbound, marks.datagrams].contains(flow.mark & marks.mask) {
            let index = flow.mark >> UInt32(32 - marks.mask.leadingZeroBitCount)
            if CapturePlace.hostIndices.contains(index) { return index }
        }
        let answering = flow.reply.source
        guard ports.contains(answering.port),
            CapturePlace.hostBlocks.contains(where: { $0.contains(answering.address) })
        else { return nil }
        return UInt32(truncatingIfNeeded: answering.address.number & 0xFFFF)
    }

    // MARK: By who holds the socket

    enum Owner {
        case agent
        case member(WatchedFlows)
    }

    /// By the path of its cgroup, the deepest first, and then by its user, as the rules go about it. Going by the path
    /// tells of a cgroup that was made anew, which the rules do not know yet.
    mutating func owner(of socket: ObservedSocket) -> Owner? {
        guard let cgroup = socket.cgroup else { return nil }
        if let path = names.path(of: cgroup) {
            if CgroupReference.is(path, within: agent) { return .agent }
            var above = path[...]
            while !above.isEmpty {
                if let member = cgroups[String(above)] { return .member(member) }
                above = above[..<(above.lastIndex(of: "/") ?? above.startIndex)]
            }
        }
        return users[socket.user].map(Owner.member)
    }
}
