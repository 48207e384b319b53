import CTrammelLinux
import Glibc
import Synchronization
import TrammelCapture
import TrammelCore

/// The service manager's store of open descriptors, from which the service gets them back when it is started anew, however
/// it ended (sd_notify(3), `FDSTORE=1`; sd_listen_fds(3)). Stopping the service empties it.
///
/// A name is as short as can be: all of them come back in one variable of the environment, which the kernel takes up to
/// 128 KiB of.
final class DescriptorStore: ListenerStore {
    /// What the store holds of connections that were carried.
    static let connections = "c"

    /// Nil where no manager asked to be told.
    init?() {
        guard ServiceNotification.isWanted else { return nil }
    }

    // MARK: ListenerStore

    func keep(_ sockets: [CInt], of workload: WorkloadID) { keep(sockets, as: DescriptorStore.name(of: workload)) }

    func drop(_ workload: WorkloadID) { drop(DescriptorStore.name(of: workload)) }

    func settle() { ServiceNotification.settle(milliseconds: 1000) }

    // MARK: By name

    /// - Returns: false where the manager was not told.
    @discardableResult
    func keep(_ descriptors: [CInt], as name: String) -> Bool {
        var rest = descriptors[...]
        while !rest.isEmpty {
            let some = rest.prefix(Int(TRAMMEL_MOST_DESCRIPTORS))
            rest = rest.dropFirst(some.count)
            // Without a look whether the other end is gone: whoever gets it back finds out, and reads what is left.
            guard ServiceNotification.send("FDSTORE=1\nFDNAME=\(name)\nFDPOLL=0", with: Array(some)) else {
                return false
            }
        }
        return true
    }

    func drop(_ name: String) { ServiceNotification.send("FDSTOREREMOVE=1\nFDNAME=\(name)") }

    static func name(of workload: WorkloadID) -> String { "w" + String(workload.rawValue, radix: 36) }

    /// Takes what the manager has passed to this process, once.
    static func takeInherited() -> [(name: String, descriptor: CInt)] {
        defer { for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] { unsetenv(name) } }
        func text(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
        guard text("LISTEN_PID").flatMap(Int32.init) == getpid(), let count = text("LISTEN_FDS").flatMap(Int32.init),
            count > 0
        else { return [] }
        let names = text("LISTEN_FDNAMES")?.split(separator: ":", omittingEmptySubsequences: false) ?? []
        return (0..<count).map { number in
            let descriptor = 3 + number
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            return (Int(number) < names.count ? String(names[Int(number)]) : "", descriptor)
        }
    }
}
