import CTrammelLinux
import Glibc
import Synchronization
import TrammelCore

/// Tells when a cgroup has been made or removed in one of a set of folders, by one thread however many there are.
///
/// It only makes whoever looks anyway look sooner: nothing relies on it, so a machine without an inotify instance left
/// gets by.
final class CgroupWatch: Sendable {
    let changes: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation
    private let inotify: CInt
    private let bell: CInt
    private let followed = Mutex<Followed>(Followed())

    private struct Followed {
        var watches: [String: CInt] = [:]
        var hasThread = false
    }

    init() {
        (changes, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        inotify = trammel_inotify_open()
        bell = trammel_eventfd()
    }

    deinit {
        // The thread keeps the descriptors' numbers, and closes them when the bell has rung.
        if followed.withLock({ $0.hasThread }) {
            var one: UInt64 = 1
            _ = write(bell, &one, MemoryLayout<UInt64>.size)
        } else {
            for descriptor in [inotify, bell] where descriptor >= 0 { close(descriptor) }
        }
        continuation.finish()
    }

    /// Watches these folders and no others. One that was removed and made again has to be named again.
    func follow(_ folders: Set<String>) {
        guard inotify >= 0 else { return }
        followed.withLock { followed in
            guard !folders.isEmpty || !followed.watches.isEmpty else { return }
            if !followed.hasThread { followed.hasThread = start() }
            var watches: [String: CInt] = [:]
            for folder in folders {
                let watch = trammel_inotify_watch_names(inotify, folder)
                if watch >= 0 { watches[folder] = watch }
            }
            let kept = Set(watches.values)
            for old in Set(followed.watches.values) where !kept.contains(old) { trammel_inotify_forget(inotify, old) }
            followed.watches = watches
        }
    }

    private final class Listening: Sendable {
        let inotify: CInt
        let bell: CInt
        let continuation: AsyncStream<Void>.Continuation

        init(_ inotify: CInt, _ bell: CInt, _ continuation: AsyncStream<Void>.Continuation) {
            self.inotify = inotify
            self.bell = bell
            self.continuation = continuation
        }

        func run() {
            while trammel_inotify_wait(inotify, bell, -1) & CInt(TRAMMEL_INOTIFY_BELL.rawValue) == 0 {
                continuation.yield()
            }
            close(inotify)
            close(bell)
        }
    }

    private func start() -> Bool {
        guard bell >= 0 else { return false }
        let listening = Listening(inotify, bell, continuation)
        return OwnThread.start("trammel-cgroups") { listening.run() } == 0
    }
}
