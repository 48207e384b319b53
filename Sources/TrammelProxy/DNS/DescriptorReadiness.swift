import CTrammelLinux
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

    private let core: Core

    /// - Throws: `TrammelError` when descriptors or threads have run out.
    init() throws {
        core = try Core()
        try core.start()
    }

    deinit { core.stop() }

    /// Watches until `forget`. The owner is kept for as long.
    func watch(_ descriptor: CInt, on loop: any EventLoop, _ owner: any ReadinessOwner) throws -> Watch {
        let entry = Core.Entry(loop: loop, owner: NIOLoopBound(owner, eventLoop: loop))
        let token = core.add(entry)
        let failure = trammel_epoll_add(core.epoll, descriptor, token)
        guard failure == 0 else {
            core.remove(token)
            throw Core.failure("watch a socket", failure)
        }
        return Watch(token: token, descriptor: descriptor)
    }

    func again(_ watch: Watch) { _ = trammel_epoll_again(core.epoll, watch.descriptor, watch.token) }

    /// The owner is not told any more, from when this is called on its loop.
    func forget(_ watch: Watch) {
        _ = trammel_epoll_remove(core.epoll, watch.descriptor)
        core.remove(watch.token)
    }

    /// What the thread holds, so that letting go of the rest ends it.
    private final class Core: Sendable {
        struct Entry: Sendable {
            let loop: any EventLoop
            let owner: NIOLoopBound<any ReadinessOwner>
        }

        private struct Table {
            var entries: [UInt64: Entry] = [:]
            var last: UInt64 = 0
        }

        /// Written when the thread is to end; its token is 0.
        private let bell: CInt
        let epoll: CInt
        private let table = Mutex(Table())

        init() throws {
            epoll = trammel_epoll_create()
            guard epoll >= 0 else { throw Core.failure("open an epoll descriptor", -epoll) }
            bell = trammel_eventfd()
            let failure = bell < 0 ? -bell : trammel_epoll_add(epoll, bell, 0)
            guard failure == 0 else {
                close(epoll)
                if bell >= 0 { close(bell) }
                throw Core.failure("open an eventfd", failure)
            }
        }

        deinit {
            close(epoll)
            close(bell)
        }

        func start() throws {
            var thread = pthread_t()
            let box = Unmanaged.passRetained(self)
            let failure = pthread_create(
                &thread, nil,
                { argument in
                    if let argument { Unmanaged<Core>.fromOpaque(argument).takeRetainedValue().run() }
                    return nil
                }, box.toOpaque())
            guard failure == 0 else {
                box.release()
                throw Core.failure("start the DNS thread", failure)
            }
            pthread_detach(thread)
        }

        func stop() {
            var one: UInt64 = 1
            _ = write(bell, &one, MemoryLayout<UInt64>.size)
        }

        func add(_ entry: Entry) -> UInt64 {
            table.withLock { table in
                table.last += 1
                table.entries[table.last] = entry
                return table.last
            }
        }

        func remove(_ token: UInt64) { _ = table.withLock { $0.entries.removeValue(forKey: token) } }

        private func run() {
            var all = sigset_t()
            sigfillset(&all)
            pthread_sigmask(SIG_SETMASK, &all, nil)
            Core.nameThisThread()
            var tokens = [UInt64](repeating: 0, count: 64)
            while true {
                let count = trammel_epoll_wait(epoll, &tokens, CInt(tokens.count))
                // Only a descriptor that is none any more makes it fail, and then there is nothing left to wait for.
                guard count >= 0 else { return }
                for token in tokens[..<Int(count)] {
                    if token == 0 { return }
                    guard let entry = table.withLock({ $0.entries[token] }) else { continue }
                    entry.loop.execute { [self] in
                        // It may have been forgotten on the way.
                        if table.withLock({ $0.entries[token] }) != nil { entry.owner.value.readable() }
                    }
                }
            }
        }

        /// For `top -H`.
        private static func nameThisThread() {
            let file = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
            guard file >= 0 else { return }
            _ = "trammel-udp".withCString { write(file, $0, 11) }
            close(file)
        }

        static func failure(_ what: String, _ code: CInt) -> TrammelError {
            TrammelError(
                .unavailable, code: "datagram-readiness", "cannot \(what): \(String(cString: strerror(code)))",
                hint: "raise the limits on open files and threads (LimitNOFILE, TasksMax)")
        }
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
