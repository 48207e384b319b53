import CNetfilter
import CTrammelLinux
import Glibc
import TrammelCore

/// What tells one network namespace from every other while it lives, whatever it is called by.
package struct NetworkNamespaceIdentity: Hashable, Sendable, CustomStringConvertible {
    package let device: UInt64
    package let inode: UInt64

    /// `net:[4026531840]`, as the kernel writes it.
    package var description: String { "net:[\(inode)]" }

    package init(device: UInt64, inode: UInt64) {
        self.device = device
        self.inode = inode
    }

    private init(_ status: stat) { self.init(device: UInt64(status.st_dev), inode: UInt64(status.st_ino)) }

    /// Of the file that `path` leads to, which need not be a namespace.
    init(ofFile path: String) throws(FileFailure) {
        var status = stat()
        guard stat(path, &status) == 0 else { throw FileFailure(code: errno) }
        self.init(status)
    }

    init(ofOpen descriptor: CInt) throws(FileFailure) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw FileFailure(code: errno) }
        self.init(status)
    }

    /// The errno of a file that cannot be looked at.
    struct FileFailure: Error { let code: CInt }
}

/// An open network namespace. Holding it keeps the namespace alive, so it is let go when the workload goes.
package final class NetworkNamespace: Sendable {
    /// How a namespace is named by whoever wants it attached.
    package enum Target: Hashable, Sendable, CustomStringConvertible {
        /// As `ip netns` names it, below /run/netns.
        case name(String)
        /// A file that is a network namespace: /var/run/docker/netns/…, /proc/1234/ns/net.
        case path(String)
        /// The namespace that a running process is in now.
        case pid(Int32)

        /// The file to open.
        package var path: String {
            switch self {
            case .name(let name): "/run/netns/\(name)"
            case .path(let path): path
            case .pid(let pid): "/proc/\(pid)/ns/net"
            }
        }

        package var description: String {
            switch self {
            case .name(let name): "network namespace \(name)"
            case .path(let path): "network namespace \(path)"
            case .pid(let pid): "network namespace of process \(pid)"
            }
        }
    }

    package let target: Target
    package let identity: NetworkNamespaceIdentity
    private let descriptor: Descriptor

    package var path: String { target.path }

    /// - Throws: `notFound` when there is no such namespace, `invalid` when the file is something else.
    package init(_ target: Target) throws {
        if case .name(let name) = target, name.isEmpty || name.contains("/") || name == "." || name == ".." {
            throw TrammelError(
                .invalid, code: "netns-name", "'\(name)' is not the name of a network namespace",
                hint: "give the file itself if it is not below /run/netns, for example --netns /proc/1234/ns/net")
        }
        if let place = target.path.utf8.enumerated().first(where: { $0.element < 0x20 || $0.element == 0x7F })?.offset {
            throw TrammelError(
                .invalid, code: "netns-name",
                "the path of a network namespace has a control character, its byte \(place + 1)",
                hint: "rename it: a name with one could not be told from others in listings and logs")
        }
        if case .pid(let pid) = target, pid <= 0 {
            throw TrammelError(
                .invalid, code: "netns-pid", "\(pid) is not a process id", hint: "give a number above 0")
        }
        // Without waiting: the path may be anything, a named pipe that nobody writes to as well.
        let number = open(target.path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard number >= 0 else { throw NetworkNamespace.failure(opening: target, errno) }
        descriptor = Descriptor(owning: number)
        self.target = target
        guard trammel_is_netns(number) == 1 else {
            throw TrammelError(
                .invalid, code: "netns-wrong-type", "\(target.path) is not a network namespace",
                hint: "a name below /run/netns is a namespace only while `ip netns` keeps it mounted")
        }
        do {
            identity = try NetworkNamespaceIdentity(ofOpen: number)
        } catch {
            throw TrammelError.kernel("examine the \(target)", errno: error.code, token: "netns")
        }
    }

    /// Its number among those that the network namespace of `route` knows.
    func number(by route: inout RouteSocket) throws -> Int32 { try route.namespaceNumber(of: descriptor.number) }

    /// The agent's own.
    package static func ofTheAgent() throws -> NetworkNamespace { try NetworkNamespace(.path("/proc/self/ns/net")) }

    /// Lends the open namespace to a call of the kernel's.
    func withDescriptor<R>(_ body: (CInt) throws -> R) rethrows -> R { try body(descriptor.number) }

    /// Runs `body`, which must stay on this thread, with the calling thread inside the namespace; it is `home` again
    /// when this returns or throws. Not to be nested.
    ///
    /// A thread that cannot go back would carry one workload's traffic into another's network, so it ends the process.
    package func inside<R>(home: NetworkNamespace, _ body: () throws -> R) throws -> R {
        let failure = trammel_enter_netns(descriptor.number)
        guard failure == 0 else { throw TrammelError.kernel("enter the \(target)", errno: failure, token: "netns") }
        defer {
            let failure = trammel_enter_netns(home.descriptor.number)
            precondition(failure == 0, "a thread could not leave a workload's network namespace: errno \(failure)")
        }
        return try body()
    }

    private static func failure(opening target: Target, _ code: CInt) -> TrammelError {
        switch code {
        case ENOENT, ESRCH, ENOTDIR: break
        // A socket, a terminal, a link that leads to itself, a name that is none.
        case ENXIO, ENODEV, ELOOP, ENAMETOOLONG:
            return TrammelError(
                .invalid, code: "netns-wrong-type",
                "\(target.path) is not a network namespace: \(String(cString: strerror(code)))")
        default: return .kernel("open the \(target)", errno: code, token: "netns")
        }
        switch target {
        case .name(let name):
            return TrammelError(
                .notFound, code: "netns-unknown", "there is no network namespace named \(name)",
                hint: "`ip netns list` shows those there are; a container's is given by --pid")
        case .path(let path):
            return TrammelError(
                .notFound, code: "netns-unknown", "there is no file \(path)",
                hint: "give the path of a network namespace, such as /proc/1234/ns/net")
        case .pid(let pid):
            return TrammelError(
                .notFound, code: "pid-unknown", "there is no process \(pid)",
                hint: "it may have ended; a container's process is shown by its runtime's inspect command")
        }
    }
}
