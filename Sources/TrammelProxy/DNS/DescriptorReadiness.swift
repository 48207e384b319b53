import Glibc
import NIOCore
import Synchronization
import TrammelCore

/// Told on its event loop that its descriptor can be read.
protocol ReadinessOwner: AnyObject {
    func readable()
}

/// Tells event loops when descriptors can be read for which NIO has no channel: a datagram's original destination
/// comes in a control message that NIO's datagram channels do not hand on.
///
/// A thread of its own waits for all of them and does nothing else. Each watch tells once and then rests until it is
/// asked for `again`, so that an owner that reads in its own time is not told twice.
final class DescriptorReadiness: Sendable {
    /// One watched descriptor. The descriptor stays its owner's, who ends the watch before closing it.
    struct Watch: Hashable {
        fileprivate let token: UInt64
        fileprivate let descriptor: CInt
    }

    private struct Entry: Sendable {
        let loop: any EventLoop
        let owner: NIOLoopBound<any ReadinessOwner>
    }

    private final class Entries: Sendable {
        private let table = Mutex<(entries: [UInt64: Entry], last: UInt64)>(([:], 0))

        subscript(token: UInt64) -> Entry? { table.withLock { $0.entries[token] } }

        func add(_ entry: Entry) -> UInt64 {
            table.withLock { table in
                table.last += 1
                table.entries[table.last] = entry
                return table.last
            }
        }

        func remove(_ token: UInt64) { _ = table.withLock { $0.entries.removeValue(forKey: token) } }
    }

    private let poll: DescriptorPoll
    private let entries = Entries()

    /// - Throws: `TrammelError` when descriptors or threads have run out.
    init() throws {
        do {
            poll = try DescriptorPoll()
            try poll.start("trammel-udp") { [entries] token in
                guard let entry = entries[token] else { return }
                entry.loop.execute {
                    // It may have been forgotten on the way.
                    if entries[token] != nil { entry.owner.value.readable() }
                }
            }
        } catch {
            throw DescriptorReadiness.error(error)
        }
    }

    /// Watches until `forget`. The owner is kept for as long.
    func watch(_ descriptor: CInt, on loop: any EventLoop, _ owner: any ReadinessOwner) throws -> Watch {
        let token = entries.add(Entry(loop: loop, owner: NIOLoopBound(owner, eventLoop: loop)))
        do {
            try poll.watch(descriptor, as: token)
        } catch {
            entries.remove(token)
            throw DescriptorReadiness.error(error)
        }
        return Watch(token: token, descriptor: descriptor)
    }

    func again(_ watch: Watch) { poll.again(watch.descriptor, as: watch.token) }

    /// The owner is not told any more, from when this is called on its loop.
    func forget(_ watch: Watch) {
        poll.forget(watch.descriptor)
        entries.remove(watch.token)
    }

    private static func error(_ failure: DescriptorPoll.Failure) -> TrammelError {
        TrammelError(
            .unavailable, code: "datagram-readiness",
            "cannot \(failure.what): \(String(cString: strerror(failure.code)))",
            hint: "raise the limits on open files and threads (LimitNOFILE, TasksMax)")
    }
}

/// One `DescriptorReadiness` for all who need one; there once somebody has asked for it, and for as long as somebody
/// holds it.
final class SharedReadiness: Sendable {
    private let made = Mutex<DescriptorReadiness?>(nil)

    func get() throws -> DescriptorReadiness {
        try made.withLock { made in
            if let made { return made }
            let new = try DescriptorReadiness()
            made = new
            return new
        }
    }

    /// Whoever asks next gets another.
    func letGo() { made.withLock { $0 = nil } }
}
