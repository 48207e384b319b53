import CNetfilter
import Glibc
package import TrammelCore

extension FlowWatch {
    /// The watched workloads that have sockets of their own to look at.
    package var withSockets: [WorkloadID] { all.filter { !$0.isOnHost }.map(\.id) }

    /// Looks once at the sockets of a watched workload. To be called over and over; each look costs the kernel a walk
    /// over all sockets of the machine, so the caller rests in proportion to what it took.
    package func lookAtSockets(of workload: WorkloadID) {
        if let watched = self[workload], !watched.isOnHost { look(at: watched, agent.family) }
    }

    private func look(at watched: WatchedFlows, _ agents: Set<UInt64>) {
        var sockets: [ObservedSocket] = []
        var own: Set<IPAddress> = []
        do {
            try self.sockets.withNetworkNamespace(of: watched.id) {
                var route = try RouteSocket()
                own = Set(try route.addresses().map(\.address))
                var diagnostics = try SocketDiagnostics()
                let states = NamespaceConnections.living.filter { $0 != TCPSocketInfo.synSent } + [TCPSocketInfo.listen]
                for family in watched.workload.facts.families {
                    sockets += try diagnostics.observedSockets(family, states: states)
                }
            }
        } catch {
            return  // The namespace is gone, and the watch ends with it.
        }
        let found = watched.state.withLock { state in
            state.judge.own = own
            return state.sockets.look(
                at: sockets, state.judge, agents: agents, isBypassed: state.isBypassed, now: .now(),
                workload: watched.id, numbers: numbers)
        }
        for (kind, socket) in found.leaks {
            let tuple = NamespaceConnections.tuple(of: socket)
            let isOutbound = kind.direction == .outbound
            let plan = watched.state.withLock { $0.judge.plan }
            let drift = try? self.sockets.withNetworkNamespace(of: watched.id) {
                try InstalledRules(comparing: plan, hasIPv6: watched.workload.facts.hasIPv6).drift
            }
            let reason =
                drift?.first.map { "the rules are not as they should be: \($0)" }
                ?? "the rules are in place now; another table may accept it first, or they were away when it began"
            report(
                kind, isOutbound ? tuple.source : tuple.destination, isOutbound ? tuple.destination : tuple.source,
                reason, of: watched)
        }
    }
}
