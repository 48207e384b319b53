import Foundation
import Testing

/// A program that ran to its end.
///
/// Spawned without Foundation's `Process`: a child gets none of this process's descriptors, which would keep the other
/// tests' connections open, and none of the signal mask of the thread that happens to start it.
struct Child: Sendable {
    let status: Int32
    let output: String
    let errors: String

    /// Runs a program found in PATH, without holding up a thread that the server under test may need.
    static func run(
        _ command: [String], input: String = "", environment: [String: String] = [:], directory: String = "/"
    ) async throws -> Child {
        let scratch = "/tmp/trammel-child-\(UUID().uuidString.prefix(13))"
        try FileManager.default.createDirectory(atPath: scratch, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: scratch) }
        try input.write(toFile: scratch + "/in", atomically: false, encoding: .utf8)
        let merged = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        let pid = try spawn(command, environment: merged.map { "\($0)=\($1)" }, scratch: scratch, directory: directory)
        let status = await withCheckedContinuation { (ended: CheckedContinuation<Int32, Never>) in
            Thread.detachNewThread {
                var status: Int32 = 0
                while waitpid(pid, &status, 0) < 0, errno == EINTR {}
                // The low bits are the signal that ended it, if one did.
                ended.resume(returning: status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + (status & 0x7F))
            }
        }
        return Child(
            status: status, output: try String(contentsOfFile: scratch + "/out", encoding: .utf8),
            errors: try String(contentsOfFile: scratch + "/err", encoding: .utf8))
    }

    private static func spawn(
        _ command: [String], environment: [String], scratch: String, directory: String
    ) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, scratch + "/in", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, scratch + "/out", O_WRONLY | O_CREAT, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, scratch + "/err", O_WRONLY | O_CREAT, 0o600)
        try closeTheRest(&actions)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        var defaults = sigset_t()
        sigemptyset(&none)
        sigemptyset(&defaults)
        sigaddset(&defaults, SIGPIPE)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &defaults)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var arguments = (["env", "--chdir", directory] + command).map { strdup($0) } + [nil]
        var variables = environment.map { strdup($0) } + [nil]
        defer { for text in arguments + variables { free(text) } }
        var pid: pid_t = 0
        let result = posix_spawnp(&pid, "env", &actions, &attributes, &arguments, &variables)
        try #require(result == 0, "\(command[0]): \(String(cString: strerror(result)))")
        return pid
    }
    /// glibc's `posix_spawn_file_actions_addclosefrom_np` (2.34), which the overlay does not import.
    private static func closeTheRest(_ actions: inout posix_spawn_file_actions_t) throws {
        typealias Function = @convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, CInt) -> CInt
        let symbol = try #require(dlsym(nil, "posix_spawn_file_actions_addclosefrom_np"))
        // The symbol has this very signature in glibc's spawn.h.
        let addCloseFrom = unsafeBitCast(symbol, to: Function.self)
        try #require(addCloseFrom(&actions, 3) == 0)
    }
}
