import Foundation
import Testing
import TrammelCore

@testable import TrammelAgent

@Suite("Restarts that follow one another closely")
struct RestartPacingTests {
    @Test("wait ever longer, up to eight seconds, and not once a minute has passed or one has ended in order")
    func pauses() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "pacing-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(at: folder) }
        let pacing = RestartPacing(folder: folder.path)
        func start(at second: UInt64) -> Duration {
            pacing.note(MonotonicTime(nanoseconds: second * 1_000_000_000)).pause
        }
        let pauses = (100..<112).map { start(at: $0) }
        let expected = [0, 0, 0, 0, 0, 250, 500, 1000, 2000, 4000, 8000, 8000].map { Duration.milliseconds($0) }
        #expect(pauses == expected)
        #expect(start(at: 180) == .zero)
        for second in 181..<190 { _ = start(at: UInt64(second)) }
        #expect(start(at: 190) > .zero)
        pacing.end()
        #expect(start(at: 191) == .zero)
        // The clock begins anew with a boot.
        for second in 191..<200 { _ = start(at: UInt64(second)) }
        #expect(start(at: 3) == .zero)
        try Data("no numbers\n-5\n".utf8).write(to: folder.appending(path: "starts"))
        #expect(start(at: 4) == .zero)
    }
}
