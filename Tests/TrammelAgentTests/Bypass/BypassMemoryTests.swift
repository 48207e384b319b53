import Foundation
import Testing
import TrammelCore

@testable import TrammelAgent

@Suite struct BypassMemoryTests {
    @Test func isAsItWasWritten() throws {
        let path = NSTemporaryDirectory() + "bypass-\(UUID().uuidString).json"
        defer { try? FileManager.default.removeItem(atPath: path) }
        #expect(try BypassMemory(from: path) == BypassMemory())
        var memory = BypassMemory()
        memory.workloads = ["default/web", "shop/api"]
        try memory.write(to: path)
        #expect(try BypassMemory(from: path) == memory)
        memory.all = true
        memory.workloads = []
        try memory.write(to: path)
        #expect(try BypassMemory(from: path) == memory)
        #expect(!FileManager.default.fileExists(atPath: path + ".new"))
    }

    /// Half a file is no reason to let anybody past.
    @Test func whatCannotBeReadIsAnError() throws {
        let path = NSTemporaryDirectory() + "bypass-\(UUID().uuidString).json"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Data("{\"all\":tr".utf8).write(to: URL(fileURLWithPath: path))
        #expect(throws: (any Error).self) { try BypassMemory(from: path) }
    }

    @Test func whereThereIsNoRoomItSaysSo() {
        let error = #expect(throws: TrammelError.self) { try BypassMemory().write(to: "/nonexistent/bypass.json") }
        #expect(error?.kind == .storage)
        #expect(error?.message.contains("/nonexistent/bypass.json.new") ?? false)
    }
}
