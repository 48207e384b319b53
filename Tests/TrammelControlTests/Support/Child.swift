import Foundation
import Testing

/// A program that ran to its end.
///
/// Spawned without Foundation's `Process`, whose children hold each other's descriptors, so that the end of one is
/// seen only when those started beside it have ended too.
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
        var arguments = (["env", "--chdir", directory] + command).map { strdup($0) } + [nil]
        var variables = environment.map { strdup($0) } + [nil]
        defer { for text in arguments + variables { free(text) } }
        var pid: pid_t = 0
        let result = posix_spawnp(&pid, "env", &actions, nil, &arguments, &variables)
        try #require(result == 0, "\(command[0]): \(String(cString: strerror(result)))")
        return pid
    }
}
