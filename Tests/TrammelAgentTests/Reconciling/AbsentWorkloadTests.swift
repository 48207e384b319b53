import Testing
import TrammelControlAPI
import TrammelCore

@testable import TrammelAgent

@Suite struct AbsentWorkloadTests {
    private static let inTheWay = TrammelError(.conflict, code: "x", "somebody listens", hint: "end it")
    private static let notThere = TrammelError(.notFound, code: "y", "it does not run", hint: "start it")

    private static func waiting() -> AbsentWorkload {
        let request = AttachRequest(name: "web", netns: "web")
        return AbsentWorkload(
            memory: AttachmentMemory(request: request, inode: 1, cookie: nil), reason: "it is being taken up",
            since: WallTime(nanoseconds: 0))
    }

    /// Half a second at first, eight at last; what can be mended soon is tried soon.
    @Test func whatFailsIsTriedEverMoreSeldom() {
        var workload = Self.waiting()
        let now = MonotonicTime(nanoseconds: 1_000_000_000_000)
        var pauses: [UInt64] = []
        for _ in 0..<8 {
            workload.note(Self.inTheWay, at: now)
            pauses.append((workload.next.nanoseconds - now.nanoseconds) / 1_000_000)
        }
        #expect(pauses == [500, 1000, 2000, 4000, 8000, 8000, 8000, 8000])
        // It is gone for a while: nothing of that counts when it comes back.
        workload.note(Self.notThere, at: now)
        workload.note(Self.inTheWay, at: now)
        #expect(workload.next.nanoseconds == now.nanoseconds + 500_000_000)
    }

    @Test func whoeverReadsItSeesWhetherToDoSomething() {
        var workload = Self.waiting()
        workload.note(Self.notThere, at: .now())
        #expect(workload.described.state == .waiting && workload.described.reason == "it does not run")
        #expect(workload.sentence == "default/web waits: it does not run")
        workload.note(Self.inTheWay, at: .now())
        #expect(workload.described.state == .degraded && workload.described.reason == "somebody listens; end it")
        #expect(workload.sentence == "default/web is not attached again: somebody listens; end it")
    }
}
