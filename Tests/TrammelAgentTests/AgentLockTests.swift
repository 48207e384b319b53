import Glibc
import Testing
import TrammelCore

@testable import TrammelAgent

@Suite("The lock that says an agent lives")
struct AgentLockTests {
    @Test("one agent for each socket, and again when the first is gone")
    func exclusive() throws {
        var template = Array("/tmp/trammel-lock-XXXXXX".utf8CString)
        // An array of at least one element has an address.
        let made = template.withUnsafeMutableBufferPointer { buffer in buffer.baseAddress.map { mkdtemp($0) } ?? nil }
        try #require(made != nil)
        let directory = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        defer {
            unlink("\(directory)/lock")
            rmdir(directory)
        }
        var first: AgentLock? = try AgentLock(besides: "\(directory)/a.sock")
        let error = #expect(throws: TrammelError.self) { try AgentLock(besides: "\(directory)/b.sock") }
        #expect(error?.kind == .conflict)
        #expect(error?.message.contains("\(directory)/lock") == true)
        #expect(first?.cgroupName.hasPrefix("agent-") == true)
        first = nil
        _ = try AgentLock(besides: "\(directory)/a.sock")
    }

    @Test("a directory that cannot be made is told with what to do")
    func noDirectory() {
        let error = #expect(throws: TrammelError.self) { try AgentLock(besides: "/proc/nothing/a.sock") }
        #expect(error?.code == "run-directory")
        #expect(error?.hint?.contains("`socket`") == true)
    }
}
