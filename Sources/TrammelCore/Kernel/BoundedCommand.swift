import Glibc

/// A program that is run for its answer, without a shell and for a bounded time.
package enum BoundedCommand {
    package struct Answer: Sendable {
        /// Of wait(2): 0 where it ended well.
        package let status: Int32
        package let output: String
        package let errors: String
    }

    /// - Parameter program: an absolute path.
    /// - Parameter mostBytes: of each stream that are kept; the rest is read and dropped.
    /// - Throws: `unavailable` where it cannot be started, or has not ended after `seconds`; it is ended then.
    package static func run(
        _ program: String, _ arguments: [String], seconds: Int64 = 5, mostBytes: Int = 1 << 20
    ) throws -> Answer {
        let deadline = MonotonicTime.now().nanoseconds + UInt64(seconds) * 1_000_000_000
        let output = try Stream(), errors = try Stream()
        let pid = try start(program, arguments, output, errors)
        output.closeWriter()
        errors.closeWriter()
        let texts = read([output, errors], until: deadline, mostBytes)
        var status: Int32 = 0
        guard let texts, ends(pid, &status, before: deadline) else {
            kill(pid, SIGKILL)
            waitpid(pid, &status, 0)
            throw TrammelError(
                .unavailable, code: "command-late",
                "\(program) \(arguments.first ?? "") gave no answer in \(seconds) s",
                hint: "see what keeps it: run it by hand")
        }
        return Answer(status: status, output: texts[0], errors: texts[1])
    }

    private static func start(_ program: String, _ arguments: [String], _ output: Stream, _ errors: Stream) throws
        -> pid_t
    {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output.writer, 1)
        posix_spawn_file_actions_adddup2(&actions, errors.writer, 2)
        // What the agent ignores or blocks is its own affair.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t(), all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        let plain = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "SYSTEMD_COLORS=0", "SYSTEMD_PAGER="]
        var pid: pid_t = 0
        let failure = CStringArray.with([program] + arguments) { words in
            CStringArray.with(plain) { posix_spawn(&pid, program, &actions, &attributes, words, $0) }
        }
        guard failure == 0 else {
            throw TrammelError(
                .unavailable, code: "command-missing", "run \(program): \(String(cString: strerror(failure)))",
                hint: "see that it is installed")
        }
        return pid
    }

    /// What both streams say until their ends; nil where that takes too long.
    private static func read(_ streams: [Stream], until deadline: UInt64, _ mostBytes: Int) -> [String]? {
        var bytes = [[UInt8]](repeating: [], count: streams.count)
        var open = Set(streams.indices)
        var chunk = [UInt8](repeating: 0, count: 16 * 1024)
        while !open.isEmpty {
            let watched = open.sorted()
            var polled = watched.map { pollfd(fd: streams[$0].reader, events: Int16(POLLIN), revents: 0) }
            let now = MonotonicTime.now().nanoseconds
            guard now < deadline else { return nil }
            let seen = poll(&polled, nfds_t(polled.count), Int32(clamping: (deadline - now) / 1_000_000 + 1))
            if seen < 0, errno != EINTR { return nil }
            for (place, entry) in zip(watched, polled) where entry.revents != 0 {
                let count = Glibc.read(entry.fd, &chunk, chunk.count)
                if count > 0 {
                    bytes[place] += chunk.prefix(min(count, mostBytes - bytes[place].count))
                } else if count == 0 || errno != EINTR {
                    open.remove(place)
                }
            }
        }
        return bytes.map { String(decoding: $0, as: UTF8.self) }
    }

    /// Both streams have been closed, which a program does as it ends.
    private static func ends(_ pid: pid_t, _ status: inout Int32, before deadline: UInt64) -> Bool {
        while true {
            let ended = waitpid(pid, &status, WNOHANG)
            if ended == pid { return true }
            if ended < 0, errno != EINTR { return false }
            guard MonotonicTime.now().nanoseconds < deadline else { return false }
            usleep(200)
        }
    }

    private final class Stream {
        let reader: CInt
        private(set) var writer: CInt

        init() throws {
            var ends: [CInt] = [-1, -1]
            // A pair of sockets, which unlike a pipe is closed on exec from its first moment.
            let type = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
            guard socketpair(AF_UNIX, type, 0, &ends) == 0 else {
                throw TrammelError(
                    .exhausted, code: "socketpair", "make a pair of sockets: \(String(cString: strerror(errno)))",
                    hint: "raise the limit of open files")
            }
            (reader, writer) = (ends[0], ends[1])
        }

        func closeWriter() {
            if writer >= 0 { close(writer) }
            writer = -1
        }

        deinit {
            closeWriter()
            close(reader)
        }
    }
}
