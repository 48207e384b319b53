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

    /// What is to be done once the manager listens; nil from then on.
    private let deferred: Mutex<[@Sendable (DescriptorStore) -> Void]?>

    /// Nil where no manager asked to be told.
    /// - Parameter isDeferred: the manager listens to another process still, until `begin`.
    init?(isDeferred: Bool = false) {
        guard ServiceNotification.isWanted else { return nil }
        deferred = Mutex(isDeferred ? [] : nil)
    }

    func begin() {
        let orders = deferred.withLock { deferred in
            defer { deferred = nil }
            return deferred ?? []
        }
        for order in orders { order(self) }
    }

    /// - Returns: whether it is to be done later.
    private func put(off order: @autoclosure () -> @Sendable (DescriptorStore) -> Void) -> Bool {
        deferred.withLock { deferred in
            guard deferred != nil else { return false }
            deferred?.append(order())
            return true
        }
    }

    // MARK: ListenerStore

    func keep(_ sockets: [CInt], of workload: WorkloadID) { keep(sockets, as: DescriptorStore.name(of: workload)) }

    func drop(_ workload: WorkloadID) { drop(DescriptorStore.name(of: workload)) }

    func settle() { ServiceNotification.settle(milliseconds: 1000) }

    // MARK: By name

    /// - Returns: false where the manager was not told.
    @discardableResult
    func keep(_ descriptors: [CInt], as name: String) -> Bool {
        let copies = { descriptors.map { fcntl($0, F_DUPFD_CLOEXEC, 0) } }
        if put(off: Self.keeping(copies(), as: name)) { return true }
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

    /// Whoever they are of may have closed them by then, so these are copies.
    private static func keeping(_ copies: [CInt], as name: String) -> @Sendable (DescriptorStore) -> Void {
        { store in
            store.keep(copies.filter { $0 >= 0 }, as: name)
            for copy in copies where copy >= 0 { close(copy) }
        }
    }

    func drop(_ name: String) {
        if put(off: { $0.drop(name) }) { return }
        ServiceNotification.send("FDSTOREREMOVE=1\nFDNAME=\(name)")
    }

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
