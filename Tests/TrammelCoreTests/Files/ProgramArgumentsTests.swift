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

    @Test("of another process, one of which is empty")
    func other() throws {
        var pid: pid_t = 0
        let words = ["/bin/sleep", "5", ""]
        let arguments = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        try #require(posix_spawn(&pid, "/bin/sleep", nil, nil, arguments, nil) == 0)
        defer {
            kill(pid, SIGKILL)
            waitpid(pid, nil, 0)
        }
        #expect(ProgramArguments.read("/proc/\(pid)/cmdline") == words)
    }

    @Test("none where they cannot be read")
    func none() { #expect(ProgramArguments.read("/proc/self/no-such-file") == []) }
}
