import CNetfilter
import Glibc
import Synchronization
package import TrammelCore

/// Makes sockets in the namespaces of attached workloads. On the request path: one uncontended lock, two setns.
package final class NamespaceSockets: SocketFactory {
    let home: NetworkNamespace
    private let marks: CaptureSettings.Marks
    private let namespaces = Mutex<[WorkloadID: NetworkNamespace]>([:])

    private func namespace(of workload: WorkloadID) -> NetworkNamespace? { namespaces.withLock { $0[workload] } }

    init(home: NetworkNamespace, marks: CaptureSettings.Marks) {
        self.home = home
        self.marks = marks
    }

    func add(_ namespace: NetworkNamespace, for workload: WorkloadID) {
        namespaces.withLock { $0[workload] = namespace }
    }

    func remove(_ workload: WorkloadID) {
        _ = namespaces.withLock { $0.removeValue(forKey: workload) }
    }

    /// A socket that keeps the client's address is bound to an address that is not the namespace's own: it must be
    /// transparent, and bear the mark that brings the application's replies back to it through lo. The port is the
    /// kernel's choice at connect, since the client's own would clash with the socket that the client is captured by.
    ///
    /// Any other socket needs nothing in a namespace of the workload's own: the rules know the agent's sockets by their
    /// cgroup, and what comes over lo there is passed by. On the host it is not, and a socket on its way to the
    /// application of a member says so by the mark `passed`.
    package func options(for plan: UpstreamSocketPlan) -> [SocketOption] {
        guard let source = plan.source else {
            guard plan.reachesApplication, namespace(of: plan.workload) === home else { return [] }
            return [SocketOption(level: SOL_SOCKET, name: SO_MARK, value: CInt(bitPattern: marks.passed))]
        }
        let transparent =
            source.family == .v4
            ? SocketOption(level: CInt(IPPROTO_IP), name: IP_TRANSPARENT, value: 1)
            : SocketOption(level: CInt(IPPROTO_IPV6), name: IPV6_TRANSPARENT, value: 1)
        return [
            SocketOption(level: SOL_SOCKET, name: SO_MARK, value: CInt(bitPattern: marks.upstream)),
            transparent,
            SocketOption(level: CInt(IPPROTO_IP), name: IP_BIND_ADDRESS_NO_PORT, value: 1),
        ]
    }

    package func withNetworkNamespace<R>(of workload: WorkloadID, _ body: () throws -> R) throws -> R {
        guard let namespace = namespace(of: workload) else {
            throw TrammelError(.notFound, code: "workload-gone", "the workload is not attached any more")
        }
        // A member of the host: the thread is where it has to be.
        if namespace === home { return try body() }
        return try namespace.inside(home: home, body)
    }
}
