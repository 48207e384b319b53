import TrammelProxy

/// Which step of shedding holds, by how full the memory is. A step is entered at its mark, several at once if need be, and
/// left one at a time when the memory is well below it, so that nothing goes to and fro at a mark.
struct OverloadSteps {
    /// Parts of the limit at which each step begins.
    static let marks: [(step: OverloadStep, at: Double)] = [(.shrink, 0.80), (.closeIdle, 0.90), (.refuseNew, 0.95)]
    /// How much of the limit has to be free below a mark for its step to end.
    static let slack = 0.05

    private(set) var step = OverloadStep.none

    /// - Parameter fullness: 1 is all of the limit.
    /// - Returns: whether the step is another one now.
    mutating func look(at fullness: Double) -> Bool {
        let reached = Self.marks.last { fullness >= $0.at }?.step ?? .none
        if reached > step {
            step = reached
            return true
        }
        guard let mark = Self.marks.first(where: { $0.step == step }), fullness < mark.at - Self.slack else {
            return false
        }
        step = OverloadStep(rawValue: step.rawValue - 1) ?? .none
        return true
    }
}
