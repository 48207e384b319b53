import CNetfilter
import Glibc
import TrammelCore

/// Whether a network namespace that is attached is there still.
///
/// The agent's own descriptors would keep it, and every interface in it, alive for ever. So the agent goes by what
/// others have: a namespace that was attached by a name or a path is gone when that leads to it no more, and one that
/// was attached by a process when no process is in it.
package enum NamespaceWhereabouts: Hashable, Sendable {
    case present
    /// The process it was reached by has ended or left; this one is in it too.
    case presentWith(process: Int32)
    /// - Parameter leaving: a process that lives in it although its name is gone.
    case gone(leaving: Int32?)

    /// Of each namespace, in order. `reachedBy` is what it was attached by, or what `presentWith` has told since.
    ///
    /// Costs one stat(2) for each: 1.3 µs for a name and 5 µs for a process, measured with 1,000. All of /proc is read
    /// only when one of them leads nowhere.
    package static func find(
        _ attached: [(namespace: NetworkNamespace, reachedBy: NetworkNamespace.Target)]
    ) -> [NamespaceWhereabouts] {
        let lost = Set(attached.filter { !$0.namespace.isReached(by: $0.reachedBy) }.map(\.namespace.identity))
        guard !lost.isEmpty else { return attached.map { _ in .present } }
        let processes = NamespaceProcesses.find(in: lost)
        return attached.map { namespace, reachedBy in
            guard lost.contains(namespace.identity) else { return .present }
            switch (reachedBy, processes[namespace.identity]) {
            case (.pid, let process?): return .presentWith(process: process)
            case (_, let process): return .gone(leaving: process)
            }
        }
    }
}

extension NetworkNamespace {
    /// Whether `target` leads to this namespace now. One that cannot be looked at is believed to.
    package func isReached(by target: Target) -> Bool {
        do {
            return try NetworkNamespaceIdentity(ofFile: target.path) == identity
        } catch {
            return ![ENOENT, ENOTDIR, ESRCH, ELOOP].contains(error.code)
        }
    }

    /// A process that is in the namespace now.
    package var process: Int32? { NamespaceProcesses.find(in: [identity])[identity] }
}

extension WorkloadCapture {
    /// The kernel's number for a namespace (SO_NETNS_COOKIE), never given to another while the machine runs, as an
    /// inode may be; nil before Linux 5.14.
    package func cookie(of namespace: NetworkNamespace) throws -> UInt64? {
        try inside(namespace) {
            let socket = Descriptor(owning: Glibc.socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0))
            var cookie: UInt64 = 0
            var length = socklen_t(MemoryLayout<UInt64>.size)
            guard getsockopt(socket.number, SOL_SOCKET, WorkloadCapture.cookieOption, &cookie, &length) == 0 else {
                return nil
            }
            return cookie
        }
    }

    /// SO_NETNS_COOKIE of asm-generic/socket.h.
    private static var cookieOption: CInt { 71 }

    /// The namespace that a dead agent had attached: by `target` where that leads to it still, else by a process that
    /// is in it if `target` is a process. Nil when it is gone.
    ///
    /// - Parameter cookie: its number, where it is known.
    package func find(
        again target: NetworkNamespace.Target, inode: UInt64, cookie: UInt64?
    ) -> NetworkNamespace.Target? {
        func isSame(_ target: NetworkNamespace.Target) -> Bool {
            guard let namespace = try? NetworkNamespace(target), namespace.identity.inode == inode else { return false }
            guard let cookie, let now = try? self.cookie(of: namespace) else { return true }
            return now == cookie
        }
        if isSame(target) { return target }
        let identity = NetworkNamespaceIdentity(device: sockets.home.identity.device, inode: inode)
        guard case .pid = target, let process = NamespaceProcesses.find(in: [identity])[identity],
            isSame(.pid(process))
        else { return nil }
        return .pid(process)
    }
}
