import Testing
import TrammelCore

@Suite("Programs that are run for an answer")
struct BoundedCommandTests {
    @Test("tell both streams and their status")
    func answer() throws {
        let answer = try BoundedCommand.run("/bin/sh", ["-c", "echo out; echo err >&2; exit 3"])
        #expect(answer.output == "out\n" && answer.errors == "err\n")
        #expect(answer.status == 3 << 8)
    }

    @Test("get nothing of the agent's: no input, no ignored signal")
    func clean() throws {
        let answer = try BoundedCommand.run("/bin/sh", ["-c", "cat; grep -E 'Sig(Ign|Blk)' /proc/self/status"])
        let masks = answer.output.split(separator: "\n").compactMap { UInt64($0.suffix(16), radix: 16) }
        // The two above 31 are the C library's own.
        #expect(masks.count == 2 && masks.allSatisfy { $0 & 0x7FFF_FFFF == 0 }, "\(answer.output)")
    }

    @Test("are ended when they take too long")
    func late() {
        let began = MonotonicTime.now()
        let error = #expect(throws: TrammelError.self) { try BoundedCommand.run("/bin/sleep", ["60"], seconds: 1) }
        #expect(error?.code == "command-late")
        #expect(MonotonicTime.now().nanoseconds(since: began) < 20_000_000_000)
    }

    @Test("that are not there are told of")
    func missing() {
        let error = #expect(throws: TrammelError.self) { try BoundedCommand.run("/nonexistent/program", []) }
        #expect(error?.code == "command-missing")
    }
}
