import CNetfilter
import Glibc
import Synchronization
package import TrammelCore

/// What to capture of a workload, as asked for at attach.
package struct CaptureRequest: Sendable, Hashable {
    package var target: NetworkNamespace.Target
    /// Nil to let the agent choose.
    package var mode: CaptureMode?
    package var excludedOutbound: [CIDR] = []
    package var excludedOutboundPorts: [UInt16] = []
    package var excludedInboundPorts: [UInt16] = []

    package init(target: NetworkNamespace.Target, mode: CaptureMode? = nil) {
        self.target = target
        self.mode = mode
    }
}

/// A workload's namespace with its listeners open and no rule installed yet.
package struct OpenedWorkload: Sendable {
    package let id: WorkloadID
    package let namespace: NetworkNamespace
    package let facts: NamespaceFacts
    package let plan: CapturePlan
    /// Why the outbound mode was taken, in a sentence.
    package let modeReason: String
    /// Bound sockets; whoever adopts them closes them.
    package let listeners: [OpenedListener]
}

package struct OpenedListener: Sendable {
    package let socket: CInt
    package let direction: TrafficDirection
    package let mode: CaptureMode
    package let address: ListenerAddress
}

/// The kernel's edge: opens listeners in a workload's namespace, turns its traffic to them, and takes it all back.
///
/// The order is the caller's to keep: `open`, adopt the listeners, `install`; later `uninstall`, let the connections
/// end, `close`. Rules that stand while nobody listens refuse every connection.
package final class WorkloadCapture: Sendable {
    package let sockets: NamespaceSockets
    private let home: NetworkNamespace
    private let cgroup: AgentCgroup
    private let ports: CapturePorts
    private let virtualRanges: [CIDR]
    private let installed = Mutex<[WorkloadID: OpenedWorkload]>([:])

    /// - Parameter virtualRanges: the blocks that VIPs are taken from, which a connect must have a route to.
    package init(cgroup: AgentCgroup, ports: CapturePorts, virtualRanges: [CIDR]) throws {
        self.cgroup = cgroup
        self.ports = ports
        self.virtualRanges = virtualRanges
        home = try NetworkNamespace.ofTheAgent()
        sockets = try NamespaceSockets()
    }

    package func open(_ request: CaptureRequest, as id: WorkloadID) throws -> OpenedWorkload {
        let namespace = try NetworkNamespace(request.target)
        let facts = try namespace.inside(home: home) { try NamespaceFacts.read(needing: virtualRanges) }
        let (mode, reason) = choose(request.mode, facts)
        var plan = CapturePlan(
            outboundMode: mode, ports: ports, agentCgroup: cgroup.reference, hasIPv6: facts.hasIPv6)
        plan.excludedOutbound = request.excludedOutbound
        plan.excludedOutboundPorts = request.excludedOutboundPorts
        plan.excludedInboundPorts = request.excludedInboundPorts
        let listeners = try namespace.inside(home: home) { try openListeners(plan) }
        sockets.add(namespace, for: id)
        return OpenedWorkload(
            id: id, namespace: namespace, facts: facts, plan: plan, modeReason: reason, listeners: listeners)
    }

    /// Turns the workload's traffic to the agent: the next connection is captured when this returns.
    package func install(_ workload: OpenedWorkload) throws {
        do {
            try workload.namespace.inside(home: home) {
                try PolicyRouting(hasIPv6: workload.facts.hasIPv6, covered: workload.facts.uncovered).install()
                try File.write("1", to: NamespaceFacts.markSetting)
                try Self.commit(workload.plan.ruleset)
            }
        } catch {
            try? remove(workload)
            throw error
        }
        installed.withLock { $0[workload.id] = workload }
    }

    /// Takes the rules, routes and settings back. Doing it twice changes nothing.
    package func uninstall(_ id: WorkloadID) throws {
        guard let workload = installed.withLock({ $0.removeValue(forKey: id) }) else { return }
        try remove(workload)
    }

    /// Lets go of the namespace.
    package func close(_ id: WorkloadID) { sockets.remove(id) }

    /// The rules of a workload as the kernel should have them.
    package func plan(of id: WorkloadID) -> CapturePlan? { installed.withLock { $0[id]?.plan } }

    private func remove(_ workload: OpenedWorkload) throws {
        try workload.namespace.inside(home: home) {
            try Self.commit(nil)
            try PolicyRouting.remove(hasIPv6: workload.facts.hasIPv6, covered: workload.facts.uncovered)
            if !workload.facts.acceptsMarks { try File.write("0", to: NamespaceFacts.markSetting) }
        }
    }

    /// The fastest mode that does no harm.
    private func choose(_ asked: CaptureMode?, _ facts: NamespaceFacts) -> (CaptureMode, String) {
        if let asked { return (asked, "\(asked.rawValue) was asked for") }
        if facts.establishedConnections > 0 {
            return (
                .redirect,
                "\(facts.establishedConnections) TCP connections were open already, and tproxy would cut them"
            )
        }
        return (.tproxy, "nothing in the namespace needs conntrack, and tproxy goes without it")
    }

    private func openListeners(_ plan: CapturePlan) throws -> [OpenedListener] {
        var opened: [OpenedListener] = []
        do {
            for loopback in plan.hasIPv6 ? [IPAddress.loopbackV4, .loopbackV6] : [.loopbackV4] {
                for (direction, port, mode) in [
                    (TrafficDirection.outbound, plan.ports.outbound, plan.outboundMode),
                    (.inbound, plan.ports.inbound, .tproxy),
                ] {
                    let address = ListenerAddress(IPEndpoint(loopback, port))
                    opened.append(
                        OpenedListener(
                            socket: try ListenerSocket.open(address).release(), direction: direction, mode: mode,
                            address: address))
                }
            }
        } catch {
            for listener in opened { Glibc.close(listener.socket) }
            throw error
        }
        return opened
    }

    /// Replaces the table in the namespace that the thread is in, in one transaction; removes it, for nil.
    private static func commit(_ ruleset: Ruleset?) throws {
        let socket = try NetlinkSocket(NETLINK_NETFILTER)
        let transaction = RulesetEncoder.transaction(ruleset)
        let refusals = try socket.transact(transaction.messages, acknowledged: transaction.acknowledged)
        guard let first = refusals.min(by: { $0.key < $1.key }) else { return }
        throw KernelError.make(
            "install the capture rules (message \(first.key))", first.value,
            hint: "the kernel needs nf_tables with tproxy, socket, fib and redirect; `nft` and dmesg may say more")
    }

    // MARK: After a crash

    /// Removes what a dead agent left in every namespace that a name or a process leads to, the agent's own left out.
    /// - Returns: how many namespaces were looked at.
    @discardableResult
    package static func cleanUp(virtualRanges: [CIDR]) throws -> Int {
        let home = try NetworkNamespace.ofTheAgent()
        var seen: Set<NetworkNamespaceIdentity> = [home.identity]
        for path in namespacePaths() {
            guard let namespace = try? NetworkNamespace(.path(path)), seen.insert(namespace.identity).inserted else {
                continue
            }
            try namespace.inside(home: home) {
                guard try hasTable() else { return }
                let hasIPv6 = try NamespaceFacts.read(needing: []).hasIPv6
                try PolicyRouting.remove(hasIPv6: hasIPv6, covered: virtualRanges)
                try File.write("0", to: NamespaceFacts.markSetting)
                // Last: it is what says that there is something to clean.
                try commit(nil)
            }
        }
        return seen.count - 1
    }

    private static func hasTable() throws -> Bool {
        let socket = try NetlinkSocket(NETLINK_NETFILTER)
        let query = RulesetEncoder.tableQuery()
        return try socket.transact(query.messages, acknowledged: query.acknowledged).isEmpty
    }

    private static func namespacePaths() -> [String] {
        var paths = Directory.names(in: "/run/netns").map { "/run/netns/\($0)" }
        paths += Directory.names(in: "/proc").filter { Int($0) != nil }.map { "/proc/\($0)/ns/net" }
        return paths
    }
}

enum Directory {
    /// The names in a directory, sorted; none where it cannot be read.
    static func names(in path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }
}
