import Glibc
import Testing

@testable import TrammelCore

@Suite("What a process was started with")
struct ProgramArgumentsTests {
    @Test("the kernel and the runtime say the same")
    func same() {
        #expect(ProgramArguments.read("/proc/self/cmdline") == CommandLine.arguments)
        #expect(ProgramArguments.all == CommandLine.arguments)
    }

    @Test("of another process")
    func other() throws {
        var pid: pid_t = 0
        let words = ["/bin/sleep", "5"]
        let arguments = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        try #require(posix_spawn(&pid, "/bin/sleep", nil, nil, arguments, nil) == 0)
        defer {
            kill(pid, SIGKILL)
            waitpid(pid, nil, 0)
        }
        // Whoever spawns goes on a moment before the kernel shows them.
        var found: [String] = []
        for _ in 0..<5000 where found.isEmpty {
            found = ProgramArguments.read("/proc/\(pid)/cmdline")
            if found.isEmpty { usleep(1000) }
        }
        #expect(found == words)
    }

    @Test("none where they cannot be read")
    func none() { #expect(ProgramArguments.read("/proc/self/no-such-file") == []) }
}
