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
    /// Whoever adopts the sockets closes them.
    package let listeners: [OpenedListener]
    /// Empty where DNS is not captured.
    package let dnsListeners: [OpenedDNSListener]
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
    /// What of the workloads' traffic goes past the agent.
    package let flows: FlowWatch
    private let cgroup: AgentCgroup
    private let attachments = Mutex<[WorkloadID: Attachment]>([:])

    /// An attached namespace, and under its own lock what is installed there: a change of one workload waits for no
    /// other's, and the request path for none.
    final class Attachment: Sendable {
        let workload: OpenedWorkload
        let installed = Mutex<CapturePlan?>(nil)

        init(_ workload: OpenedWorkload) { self.workload = workload }
    }

    /// - Parameter cgroup: where the agent lives; must have been entered before the first listener is opened.
    package init(cgroup: AgentCgroup, settings: CaptureSettings = CaptureSettings()) throws {
        self.cgroup = cgroup
        self.settings = settings
        sockets = NamespaceSockets(home: try NetworkNamespace.ofTheAgent(), marks: settings.marks)
        conntrack = WorkloadConntrack(sockets: sockets)
        flows = FlowWatch(sockets: sockets, agent: cgroup)
    }

    /// - Parameter virtualRanges: the blocks that VIPs are taken from, which a connect must have a route to.
    package convenience init(cgroup: AgentCgroup, ports: CapturePorts, virtualRanges: [CIDR]) throws {
        var settings = CaptureSettings()
        settings.ports = ports
        settings.virtualRanges = virtualRanges
        try self.init(cgroup: cgroup, settings: settings)
    }

    /// Opens the listeners of a workload inside its network namespace and finds out what is true there. Turns nothing.
    ///
    /// - Throws: `notFound` for an unknown target, `forbidden` for the agent's own namespace, `conflict` when the
    ///   namespace is attached already or its ports are taken, `unimplemented` for fail-open.
    package func open(_ request: CaptureRequest, as id: WorkloadID) throws -> OpenedWorkload {
        guard request.failureMode == .closed else {
            throw TrammelError(
                .unimplemented, code: "not-built-yet", "capturing with failure mode 'open': not built yet",
                hint: "use failure mode 'closed', the default")
        }
        guard case .namespace(let target) = request.target else {
            throw TrammelError(
                .unimplemented, code: "not-built-yet", "capturing a \(request.target): not built yet",
                hint: "attach a network namespace")
        }
        let namespace = try NetworkNamespace(target)
        guard namespace.identity != sockets.home.identity else {
            throw TrammelError(
                .forbidden, code: "netns-of-the-agent", "\(target.path) is the network namespace of the agent",
                hint: "attach a pod's own namespace; capturing the host's would take its ssh connections too")
        }
        try attachments.withLock { try WorkloadCapture.refuseConflict(namespace, id, among: $0) }
        let workload = try inside(namespace) {
            let facts = try NamespaceFacts.read()
            let (mode, reason) = try chooseMode(request)
            let plan = CapturePlan(
                settings: settings, request: request, agent: cgroup.reference, outboundMode: mode)
            let listeners = try ListenerSockets.open(plan, hasIPv6: facts.hasIPv6)
            return OpenedWorkload(
                id: id, identity: .namespace(namespace.identity), namespace: namespace, facts: facts, plan: plan,
                modeReason: reason,
                listeners: listeners.streams, dnsListeners: listeners.dns)
        }
        do {
            try attachments.withLock { attachments in
                // Again, for another thread may have come between.
                try WorkloadCapture.refuseConflict(namespace, id, among: attachments)
                attachments[id] = Attachment(workload)
            }
        } catch {
            ListenerSockets.Listeners(streams: workload.listeners, dns: workload.dnsListeners).close()
            throw error
        }
        sockets.add(namespace, for: id)
        return workload
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
            installed = try inside(workload.namespace) {
                var plan = workload.plan
                if let installed {
                    plan = installed
                } else {
                    plan.established = try EstablishedConnections.list(in: workload.facts)
                }
                try NamespaceCapture.install(plan, hasIPv6: workload.facts.hasIPv6)
                try DatagramFlows.turn(plan)
                return plan
            }
        }
        if let plan = plan(of: workload.id) { flows.begin(workload, plan) }
    }

    /// Lets the traffic go: rules, routes and sysctls are as before. The listeners stay open, so that connections
    /// under way can end. Doing so again changes nothing.
    package func uninstall(_ id: WorkloadID) throws {
        guard let attachment = attachments.withLock({ $0[id] }) else { return }
        try attachment.installed.withLock { installed in
            try inside(attachment.workload.namespace) {
                try NamespaceCapture.remove()
                try DatagramFlows.release(attachment.workload.plan)
            }
            installed = nil
        }
        flows.end(id)
    }

    /// Forgets the workload and lets go of its namespace. Rules that are installed stay as they are.
    package func close(_ id: WorkloadID) {
        _ = attachments.withLock { $0.removeValue(forKey: id) }
        flows.end(id)
        sockets.remove(id)
        conntrack.close(id)
    }

    /// What a workload's namespace should hold; nil while its traffic is not turned.
    package func plan(of id: WorkloadID) -> CapturePlan? {
        attachments.withLock { $0[id] }?.installed.withLock { $0 }
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

    /// Asks the kernel, by having it judge the very rules without installing them.
    private func chooseMode(_ request: CaptureRequest) throws -> (CaptureMode, String) {
        var nft = try NftSocket()
        func refusal(_ mode: CaptureMode) throws -> TrammelError? {
            let plan = CapturePlan(
                settings: settings, request: request, agent: cgroup.reference, outboundMode: mode)
            return try nft.refusal(of: plan.table)
        }
        if let asked = request.mode {
            if let refusal = try refusal(asked) { throw refusal }
            return (asked, "\(asked.rawValue) was asked for")
        }
        guard let tproxyRefusal = try refusal(.tproxy) else {
            return (.tproxy, "the kernel takes tproxy rules for local traffic, and tproxy needs no conntrack")
        }
        if let redirectRefusal = try refusal(.redirect) { throw redirectRefusal }
        return (.redirect, "the kernel does not take tproxy rules: \(tproxyRefusal.message)")
    }

    private static func refuseConflict(
        _ namespace: NetworkNamespace, _ id: WorkloadID, among attachments: [WorkloadID: Attachment]
    ) throws {
        if attachments[id] != nil {
            throw TrammelError(
                .conflict, code: "workload-attached", "workload \(id.rawValue) is attached already",
                hint: "detach it first")
        }
        if let other = attachments.values.first(where: { $0.workload.namespace.identity == namespace.identity }) {
            throw TrammelError(
                .conflict, code: "netns-attached",
                "this network namespace is attached already, by \(other.workload.namespace.path)",
                hint: "a namespace has one owner; detach the other first")
        }
    }
}
