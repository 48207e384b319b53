import CTrammelLinux
import Synchronization
import TrammelCore

/// The ids of the machine's groups by name, remembered for a while: a name service may be slow, and a request is not
/// to wait for it each time.
final class GroupDirectory: Sendable {
    /// Nanoseconds for which an answer, also that there is no such group, holds.
    private static let lifetime: UInt64 = 30_000_000_000

    private struct Entry {
        let id: UInt32?
        let asked: MonotonicTime
    }

    private let entries = Mutex<[String: Entry]>([:])

    /// Nil where there is no such group or the name service fails: nobody is a member then.
    func id(of name: String) -> UInt32? {
        let now = MonotonicTime.now()
        let remembered = entries.withLock { $0[name] }
        if let remembered, now.nanoseconds(since: remembered.asked) < Self.lifetime { return remembered.id }
        var gid: UInt32 = 0
        let id = trammel_group_id(name, &gid) == 0 ? gid : nil
        entries.withLock { $0[name] = Entry(id: id, asked: now) }
        return id
    }
}
