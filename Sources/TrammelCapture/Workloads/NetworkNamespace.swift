import CTrammelLinux
import Glibc
import TrammelCore

/// What tells one network namespace from every other while it lives, whatever it is called by.
package struct NetworkNamespaceIdentity: Hashable, Sendable, CustomStringConvertible {
    package let device: UInt64
    package let inode: UInt64

    /// `net:[4026531840]`, as the kernel writes it.
    package var description: String { "net:[\(inode)]" }
}

/// An open network namespace. Holding it keeps the namespace alive, so it is let go when the workload goes.
package final class NetworkNamespace: Sendable {
    package let path: String
    package let identity: NetworkNamespaceIdentity
    private let descriptor: Descriptor

    package enum Target: Sendable, Hashable {
        /// As `ip netns` lists it.
        case name(String)
        case path(String)
        /// The namespace that the process is in now.
        case pid(Int32)

        var path: String {
            switch self {
            case .name(let name): "/run/netns/\(name)"
            case .path(let path): path
            case .pid(let pid): "/proc/\(pid)/ns/net"
            }
        }
    }

    /// - Throws: `notFound` where there is no such name, path or process; `invalid` where it is no network namespace,
    ///   or is the agent's own, whose capture would take the host's own traffic.
    package convenience init(_ target: Target) throws {
        let path = target.path
        guard access(path, F_OK) == 0 else { throw NetworkNamespace.missing(target) }
        try self.init(path: path)
        guard try identity != NetworkNamespace.own() else {
            throw TrammelError(
                .invalid, code: "netns-of-the-agent", "\(path) is the network namespace that the agent runs in",
                hint: "attach a pod's own namespace; capturing the host's would take its ssh connections too")
        }
    }

    private init(path: String) throws {
        let descriptor = try Descriptor(path: path)
        guard trammel_is_netns(descriptor.number) != 0 else {
            throw TrammelError(
                .invalid, code: "not-a-netns", "\(path) is not a network namespace",
                hint: "give a name that `ip netns` lists, or a path like /proc/PID/ns/net")
        }
        var status = stat()
        guard fstat(descriptor.number, &status) == 0 else { throw KernelError.make("look at \(path)", errno) }
        self.path = path
        identity = NetworkNamespaceIdentity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
        self.descriptor = descriptor
    }

    /// The agent's own namespace.
    package static func ofTheAgent() throws -> NetworkNamespace { try NetworkNamespace(path: "/proc/self/ns/net") }

    private static func own() throws -> NetworkNamespaceIdentity { try ofTheAgent().identity }

    private static func missing(_ target: Target) -> TrammelError {
        switch target {
        case .name(let name):
            TrammelError(
                .notFound, code: "netns-unknown", "there is no network namespace named \(name)",
                hint: "`ip netns` lists them; one without a name is given by a path or a --pid")
        case .path(let path):
            TrammelError(
                .notFound, code: "netns-unknown", "there is nothing at \(path)",
                hint: "give the path of a network namespace, such as /proc/PID/ns/net")
        case .pid(let pid):
            TrammelError(
                .notFound, code: "pid-unknown", "there is no process \(pid)",
                hint: "give the id, as the host sees it, of a process that runs in the workload's namespace")
        }
    }

    /// Runs `body`, which must stay on this thread, inside the namespace. A thread that cannot go back home ends the
    /// process: it would carry one workload's traffic into another's network.
    package func inside<R>(home: NetworkNamespace, _ body: () throws -> R) throws -> R {
        let failure = trammel_enter_netns(descriptor.number)
        guard failure == 0 else {
            throw KernelError.make("enter the network namespace \(path)", failure)
        }
        defer {
            let failure = trammel_enter_netns(home.descriptor.number)
            precondition(failure == 0, "a thread could not leave a workload's network namespace: errno \(failure)")
        }
        return try body()
    }
}
