import Synchronization
package import TrammelCore

/// A workload's namespace with its listeners open and no traffic turned yet.
package struct OpenedWorkload: Sendable {
    package let id: WorkloadID
    package let identity: CaptureIdentity
    /// The agent's own for a workload of the host.
    package let namespace: NetworkNamespace
    package let facts: NamespaceFacts
    package let plan: CapturePlan
    /// Why the outbound mode was taken, in a sentence.
    package let modeReason: String
    /// Whether the client's address can be kept on the way to the application, and why.
    package let sourceKeeping: SourceKeeping
    /// What an operator should know of the namespace; nil when there is nothing.
    package var warning: String?
    /// Whoever adopts the sockets closes them.
    package let listeners: [OpenedListener]
    /// Empty where DNS is not captured.
    package let dnsListeners: [OpenedDNSListener]
    /// Empty where the agent does not carry its datagrams.
    package let datagramListeners: [OpenedDatagramListener]

    /// Where nobody has adopted them.
    package func closeListeners() {
        for socket in listeners.map(\.socket) + dnsListeners.map(\.socket) + datagramListeners.map(\.socket) {
            Descriptor.close(socket)
        }
    }
}

/// The kernel edge of the agent: captures the traffic of network namespaces, and lets it go again.
///
/// The order of an attach is the caller's: `open` makes the listeners, the proxy adopts them, `install` turns the
/// traffic; the next connection after `install` returns is captured. Later `uninstall`, let the connections end,
/// `close`. Rules that stand while nobody listens refuse every connection. Every call is synchronous and may be made
/// from any thread.
package final class WorkloadCapture: Sendable {
    package let settings: CaptureSettings
    package let sockets: NamespaceSockets
    package let conntrack: WorkloadConntrack
    /// Where the agent lives.
    package let cgroup: AgentCgroup
    let agentIDs: Set<UInt64>
    let host: HostCapture
    /// Handover/ has what it is for.
    let keeper: ListenerKeeper
    let iptables = IptablesAbility()
    let nftables = NftablesAbility()
    /// The agent's own network namespace, which is the host's.
    package var home: NetworkNamespaceIdentity { sockets.home.identity }
    /// What of the workloads' traffic goes past the agent.
    package let flows: FlowWatch
    let attachments = Mutex<[WorkloadID: Attachment]>([:])
    /// Told of what there is to watch.
    let watch = Mutex<CaptureWatch.Core?>(nil)

    /// An attached namespace, and under its own lock what is installed there: a change of one workload waits for no
    /// other's, and the request path for none.
    final class Attachment: Sendable {
        let workload: OpenedWorkload
        let installed = Mutex<CapturePlan?>(nil)
        /// It only waits for its connections to end, and another may take the namespace over.
        let isLeaving = Atomic<Bool>(false)
        /// Holds the rules where they are to go with the agent; made at the first install.
        let owner = Mutex<TableOwner?>(nil)

        /// What is true of the namespace, when last looked at.
        let facts: Mutex<NamespaceFacts>
        /// Whether there are listeners for IPv6: routing leads packets to them only then.
        let servesIPv6: Mutex<Bool>
        /// Opened by the first look at them.
        let settings = Mutex<SettingsFiles?>(nil)
        /// What `LegacyRules` has last said of them.
        let legacyRules = Mutex<UInt64?>(nil)

        init(_ workload: OpenedWorkload) {
            self.workload = workload
            facts = Mutex(workload.facts)
            servesIPv6 = Mutex(workload.listeners.contains { $0.address.endpoint.address.family == .v6 })
        }

        /// Whether IPv6 is, or is to be, captured. Called inside the namespace.
        var capturesIPv6: Bool { servesIPv6.withLock { $0 } && ListenerSockets.hasIPv6() }

        /// Whether its rules stand in the host's table, among others'.
        var isOnHost: Bool { workload.plan.place.hostIndex != nil }

        /// Who makes the plan's table: nil where it is to outlive the agent. Called inside the namespace.
        func owner(of plan: CapturePlan, _ keeper: ListenerKeeper) throws -> TableOwner? {
            try owner.withLock { owner in
                if owner == nil, plan.table.isOwned { owner = try TableOwner(keeper.kept) }
                return owner
            }
        }
    }

    /// - Parameter cgroup: where the agent lives; must have been entered before the first listener is opened.
    package init(
        cgroup: AgentCgroup, settings: CaptureSettings = CaptureSettings(), keeper: ListenerKeeper = ListenerKeeper()
    ) throws {
        self.cgroup = cgroup
        agentIDs = cgroup.ids
        self.settings = settings
        self.keeper = keeper
        host = HostCapture(settings: settings, cgroup: cgroup, keeper: keeper)
        sockets = NamespaceSockets(home: try NetworkNamespace.ofTheAgent(), settings: settings)
        conntrack = WorkloadConntrack(sockets: sockets)
        flows = FlowWatch(sockets: sockets, agent: cgroup, host: host)
    }

    /// - Parameter virtualRanges: the blocks that VIPs are taken from, which a connect must have a route to.
    package convenience init(
        cgroup: AgentCgroup, ports: CapturePorts, virtualRanges: [CIDR], backend: CaptureBackendChoice,
        keeper: ListenerKeeper = ListenerKeeper()
    ) throws {
        var settings = CaptureSettings()
        settings.backend = backend
        settings.ports = ports
        settings.virtualRanges = virtualRanges
        try self.init(cgroup: cgroup, settings: settings, keeper: keeper)
    }

    /// Opens the listeners of a workload inside its network namespace and finds out what is true there. Turns nothing.
    ///
    /// - Throws: `notFound` for an unknown target, `forbidden` for the agent's own namespace, `conflict` when the
    ///   namespace is attached already or its ports are taken.
    package func open(_ request: CaptureRequest, as id: WorkloadID) throws -> OpenedWorkload {
        if settings.backend == .iptables { try IptablesCapture.refuse(request) }
        guard case .namespace(let target) = request.target else { return try openOnHost(request, as: id) }
        let namespace = try namespace(target)
        try refuseConflict(.namespace(namespace.identity), id)
        let workload = try inside(namespace) {
            let (facts, plan, chosen) = try plan(request)
            let listeners = try ListenerSockets.open(plan, hasIPv6: facts.hasIPv6, keeper)
            keeper.keep(listeners, of: id)
            return OpenedWorkload(
                id: id, identity: .namespace(namespace.identity), namespace: namespace, facts: facts, plan: plan,
                modeReason: chosen.reason,
                sourceKeeping: SourceKeeping(
                    isPossible: true, reason: "replies find their way back by the mark of the accepted socket"),
                warning: chosen.warning,
                listeners: listeners.streams, dnsListeners: listeners.dns, datagramListeners: listeners.datagrams)
        }
        do {
            try admit(workload)
        } catch {
            workload.closeListeners()
            keeper.drop(id)
            throw error
        }
        return workload
    }

    /// - Throws: `notFound` for one that is not there, `forbidden` for the agent's own.
    func namespace(_ target: NetworkNamespace.Target) throws -> NetworkNamespace {
        let namespace = try NetworkNamespace(target)
        guard namespace.identity != sockets.home.identity else {
            throw TrammelError(
                .forbidden, code: "netns-of-the-agent", "\(target.path) is the network namespace of the agent",
                hint: "attach a pod's own namespace; capturing the host's would take its ssh connections too")
        }
        return namespace
    }

    /// What a request comes to in the network namespace of the calling thread.
    func plan(
        _ request: CaptureRequest
    ) throws -> (facts: NamespaceFacts, plan: CapturePlan, selection: CaptureSelection) {
        let facts = try NamespaceFacts.read()
        let chosen = try select(request)
        var plan = CapturePlan(
            settings: settings, request: request, agent: cgroup.reference, outboundMode: chosen.mode)
        plan.backend = chosen.backend
        return (facts, plan, chosen)
    }

    /// From here on the workload is attached, unless another thread came between.
    func admit(_ workload: OpenedWorkload) throws {
        try attachments.withLock { attachments in
            try WorkloadCapture.refuseConflict(workload.identity, workload.id, among: attachments)
            attachments[workload.id] = Attachment(workload)
        }
        sockets.add(workload.namespace, for: workload.id)
    }

    func refuseConflict(_ identity: CaptureIdentity, _ id: WorkloadID) throws {
        try attachments.withLock { try WorkloadCapture.refuseConflict(identity, id, among: $0) }
    }

    /// What is true of a namespace that is not attached, for whoever waits until it is set up.
    package func facts(of target: NetworkNamespace.Target) throws -> NamespaceFacts {
        try inside(try NetworkNamespace(target)) { try NamespaceFacts.read() }
    }

    /// Turns the traffic of an opened workload to its listeners. Doing so again brings the rules back to what they
    /// should be.
    package func install(_ workload: OpenedWorkload) throws {
        let attachment = try attachment(workload.id)
        try cgroup.verify()
        try attachment.installed.withLock { installed in
            if attachment.isOnHost {
                installed = try installOnHost(attachment, installed)
            } else if let plan = installed {
                try put(plan, of: attachment)
                try inside(workload.namespace) { try KeptVerdicts.turn(plan) }
            } else {
                installed = try begin(workload.plan, attachment)
            }
        }
        if let plan = plan(of: workload.id) { flows.begin(workload, plan) }
        watch.withLock { $0 }?.follow(attachment)
    }

    /// Lets the traffic go: rules, routes and sysctls are as before. The listeners stay open, so that connections
    /// under way can end. Doing so again changes nothing.
    package func uninstall(_ id: WorkloadID) throws {
        guard let attachment = attachments.withLock({ $0[id] }) else { return }
        // What stands in the namespace is another's.
        guard
            attachment.isOnHost || attachments.withLock({ WorkloadCapture.successor(of: attachment, among: $0) }) == nil
        else { return }
        try attachment.installed.withLock { installed in
            try inside(attachment.workload.namespace) {
                if attachment.isOnHost {
                    try host.uninstall(id)
                } else {
                    try NamespaceCapture.remove(owner: attachment.owner.withLock { $0 })
                }
                try KeptVerdicts.release(attachment.workload.plan)
            }
            attachment.owner.withLock { $0 = nil }
            installed = nil
        }
        flows.end(id)
    }

    /// Forgets the workload and lets go of its namespace. Rules that are installed stay as they are.
    package func close(_ id: WorkloadID) {
        _ = attachments.withLock { $0.removeValue(forKey: id) }
        keeper.drop(id)
        host.close(id)
        flows.end(id)
        watch.withLock { $0 }?.forget(id)
        sockets.remove(id)
        conntrack.close(id)
    }

    /// Its listeners are closed, and are not to be kept for an agent after this one either.
    package func dropListeners(of id: WorkloadID) { keeper.drop(id) }

    /// What a workload's namespace should hold; nil while its traffic is not turned.
    package func plan(of id: WorkloadID) -> CapturePlan? {
        attachments.withLock { $0[id] }?.installed.withLock { $0 }
    }

    var attachedNamespaces: [NetworkNamespaceIdentity] {
        attachments.withLock { $0.values.map(\.workload.namespace.identity) }
    }

    func attachment(_ id: WorkloadID) throws -> Attachment {
        guard let attachment = attachments.withLock({ $0[id] }) else {
            throw TrammelError(
                .notFound, code: "workload-gone", "the workload is not attached any more")
        }
        return attachment
    }

    func inside<R>(_ namespace: NetworkNamespace, _ body: () throws -> R) throws -> R {
        try namespace.inside(home: sockets.home, body)
    }

    /// Who has taken over the namespace of one that is leaving.
    private static func successor(of attachment: Attachment, among all: [WorkloadID: Attachment]) -> Attachment? {
        all.values.first {
            $0.workload.id.rawValue > attachment.workload.id.rawValue
                && $0.workload.identity == attachment.workload.identity
        }
    }

    private static func refuseConflict(
        _ identity: CaptureIdentity, _ id: WorkloadID, among attachments: [WorkloadID: Attachment]
    ) throws {
        if attachments[id] != nil {
            throw TrammelError(
                .conflict, code: "workload-attached", "workload \(id.rawValue) is attached already",
                hint: "detach it first")
        }
        guard
            let other = attachments.values.first(where: {
                $0.workload.identity == identity && !$0.isLeaving.load(ordering: .relaxed)
            })?.workload
        else { return }
        switch identity {
        case .namespace:
            throw TrammelError(
                .conflict, code: "netns-attached",
                "this network namespace is attached already, by \(other.namespace.path)",
                hint: "a namespace has one owner; detach the other first")
        case .cgroup(let path):
            throw TrammelError(
                .conflict, code: "cgroup-attached", "the cgroup \(path) is attached already",
                hint: "a cgroup has one owner; detach the other first")
        case .user(let user):
            throw TrammelError(
                .conflict, code: "user-attached", "user \(user) is attached already",
                hint: "a user has one owner; detach the other first")
        }
    }
}
