import CTrammelLinux
import Glibc
import TrammelCore

/// Tells that something has changed in a folder, once it has come to rest.
///
/// The folder may be missing, be removed and made anew, or be a symbolic link that is turned to another folder: what
/// leads to it is watched too. Whoever is told looks for himself. It is told every so often without any event as well,
/// for file systems that send none (NFS, FUSE), links that lead out of the folder, and a machine that has no inotify
/// instance left.
final class FolderWatch: Sendable {
    /// In milliseconds.
    struct Rhythm {
        /// So long nothing may have happened, so that files written together are looked at together.
        var quiet: Int32 = 100
        /// And is looked at all the same when it never is quiet.
        var longest: Int32 = 1000
        /// Without any event.
        var anyway: Int32 = 5000
    }

    /// Ends with the watch. What was not waited for is told once.
    let changes: AsyncStream<Void>
    private let core: Core

    init(_ folder: String, rhythm: Rhythm = Rhythm()) {
        let (stream, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        changes = stream
        core = Core(folder: folder, rhythm: rhythm, continuation: continuation)
        core.start()
    }

    deinit { core.stop() }

    /// After `start` nothing but its thread touches what changes in it, hence unchecked.
    private final class Core: @unchecked Sendable {
        private let folder: String
        private let rhythm: Rhythm
        private let bell: CInt
        private let inotify: CInt
        private let continuation: AsyncStream<Void>.Continuation
        /// Of the folder, and of the nearest folder above that exists.
        private var watches: (folder: CInt, above: CInt) = (-1, -1)

        init(folder: String, rhythm: Rhythm, continuation: AsyncStream<Void>.Continuation) {
            self.folder = folder
            self.rhythm = rhythm
            bell = trammel_eventfd()
            self.continuation = continuation
            inotify = trammel_inotify_open()
        }

        deinit {
            if inotify >= 0 { close(inotify) }
            if bell >= 0 { close(bell) }
        }

        func start() {
            // Before anybody looks for the first time, so that no change falls in between.
            arm()
            // The thread holds this and not the watch, so that letting go of the watch ends it.
            if OwnThread.start("trammel-folder", { self.run() }) != 0 { continuation.finish() }
        }

        func stop() {
            var one: UInt64 = 1
            if bell >= 0 { _ = write(bell, &one, MemoryLayout<UInt64>.size) }
        }

        private func run() {
            defer { continuation.finish() }
            while true {
                let seen = wait(rhythm.anyway)
                if seen.bell || (seen.change && !settles()) { return }
                // Before whoever is told looks: what comes after the look is an event again.
                arm()
                continuation.yield()
            }
        }

        /// False when the watch has ended meanwhile.
        private func settles() -> Bool {
            let begin = FolderWatch.now()
            while true {
                let left = Int64(rhythm.longest) - (FolderWatch.now() - begin)
                guard left > 0 else { return true }
                // Made anew in the meantime: what is written into it is still part of the same change.
                arm()
                let seen = wait(min(rhythm.quiet, Int32(left)))
                if seen.bell { return false }
                if !seen.change { return true }
            }
        }

        private func wait(_ milliseconds: Int32) -> (change: Bool, bell: Bool) {
            let seen = trammel_inotify_wait(inotify, bell, milliseconds)
            return (seen & CInt(TRAMMEL_INOTIFY_CHANGE.rawValue) != 0, seen & CInt(TRAMMEL_INOTIFY_BELL.rawValue) != 0)
        }

        /// Watches the folders that are there now. The same folder has the same watch, so doing it again costs little.
        private func arm() {
            guard inotify >= 0 else { return }
            let old = watches
            watches.folder = trammel_inotify_watch(inotify, folder)
            watches.above = -1
            var above = folder
            while watches.above < 0, let slash = above.lastIndex(of: "/"), above != "/" {
                above = slash == above.startIndex ? "/" : String(above[..<slash])
                watches.above = trammel_inotify_watch_names(inotify, above)
            }
            for watch in [old.folder, old.above] where watch >= 0 && watch != watches.folder && watch != watches.above {
                trammel_inotify_forget(inotify, watch)
            }
        }
    }

    private static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
