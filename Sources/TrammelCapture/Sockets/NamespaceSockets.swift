import CNetfilter
import Glibc
import Synchronization
package import TrammelCore

/// Makes sockets in the namespaces of attached workloads. On the request path: one uncontended lock, two setns.
package final class NamespaceSockets: SocketFactory {
    let home: NetworkNamespace
    private let marks: CaptureSettings.Marks
    private let ports: SourcePorts
    private let namespaces = Mutex<[WorkloadID: NetworkNamespace]>([:])

    private func namespace(of workload: WorkloadID) -> NetworkNamespace? { namespaces.withLock { $0[workload] } }

    init(home: NetworkNamespace, settings: CaptureSettings) {
        self.home = home
        marks = settings.marks
        ports = SourcePorts(besides: settings.ports.all)
    }

    func add(_ namespace: NetworkNamespace, for workload: WorkloadID) {
        namespaces.withLock { $0[workload] = namespace }
    }

    func remove(_ workload: WorkloadID) {
        _ = namespaces.withLock { $0.removeValue(forKey: workload) }
    }

    /// A socket that keeps the client's address is bound to an address that is not the namespace's own: it must be
    /// transparent, and bear the mark that brings the application's replies back to it through lo. Its port is one that
    /// clients do not have, several times over; only when none of those is to be had does the kernel choose, out of the
    /// range that clients choose from as well (see `SourcePorts`).
    ///
    /// SO_REUSEADDR lets sockets to other places share the port, and an application of the namespace listen on it, which
    /// it could not beside a socket whose port the kernel chose.
    ///
    /// Any other socket needs nothing in a namespace of the workload's own: the rules know the agent's sockets by their
    /// cgroup, and what comes over lo there is passed by. On the host it is not, and a socket on its way to the
    /// application of a member says so by the mark `passed`.
    package func preparation(for plan: UpstreamSocketPlan, attempt: Int) -> SocketPreparation? {
        guard let source = plan.source else {
            guard attempt == 0 else { return nil }
            guard plan.reachesApplication, namespace(of: plan.workload) === home else { return SocketPreparation() }
            return SocketPreparation(options: [
                SocketOption(level: SOL_SOCKET, name: SO_MARK, value: CInt(bitPattern: marks.passed))
            ])
        }
        guard attempt <= SourcePorts.attempts else { return nil }
        let isOwn = attempt < SourcePorts.attempts
        return SocketPreparation(
            options: [
                SocketOption(level: SOL_SOCKET, name: SO_MARK, value: CInt(bitPattern: marks.upstream)),
                source.family == .v4
                    ? SocketOption(level: CInt(IPPROTO_IP), name: IP_TRANSPARENT, value: 1)
                    : SocketOption(level: CInt(IPPROTO_IPV6), name: IPV6_TRANSPARENT, value: 1),
                isOwn
                    ? SocketOption(level: SOL_SOCKET, name: SO_REUSEADDR, value: 1)
                    : SocketOption(level: CInt(IPPROTO_IP), name: IP_BIND_ADDRESS_NO_PORT, value: 1),
            ],
            source: IPEndpoint(
                source, isOwn ? ports.next(from: source, to: plan.remote.endpoint, attempt: attempt) : 0))
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
