import Testing
import TrammelProxy

@testable import TrammelAgent

@Suite("Shedding in steps")
struct OverloadStepsTests {
    @Test("each step begins at its mark, several at once if need be")
    func up() {
        var steps = OverloadSteps()
        let expected: [(Double, OverloadStep)] = [
            (0.1, .none), (0.799, .none), (0.8, .shrink), (0.89, .shrink), (0.9, .closeIdle), (0.95, .refuseNew),
        ]
        for (fullness, step) in expected {
            let before = steps.step
            let hasChanged = steps.look(at: fullness)
            #expect(hasChanged == (step != before))
            #expect(steps.step == step, "at \(fullness)")
        }
        var sudden = OverloadSteps()
        _ = sudden.look(at: 1.2)
        #expect(sudden.step == .refuseNew)
    }

    @Test("a step ends one at a time, and not at its mark but well below")
    func down() {
        var steps = OverloadSteps()
        _ = steps.look(at: 0.96)
        for fullness in [0.949, 0.93, 0.901] {
            _ = steps.look(at: fullness)
            #expect(steps.step == .refuseNew)
        }
        let rest: [(Double, OverloadStep)] = [
            (0.899, .closeIdle), (0.86, .closeIdle), (0.2, .shrink), (0.2, .none), (0.2, .none),
        ]
        for (fullness, step) in rest {
            _ = steps.look(at: fullness)
            #expect(steps.step == step, "at \(fullness)")
        }
    }

    @Test("nothing goes to and fro at a mark")
    func steadiness() {
        var steps = OverloadSteps()
        var changes = 0
        for look in 0..<1000 where steps.look(at: 0.90 + (look.isMultiple(of: 2) ? 0.02 : -0.02)) { changes += 1 }
        #expect(changes == 1)
    }
}
