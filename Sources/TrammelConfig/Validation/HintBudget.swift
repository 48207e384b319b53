/// How many nearest names may still be looked for in one go: each costs a walk over all names, and where more dangle than
/// this, no typo is the cause.
package final class HintBudget {
    private var left: Int

    package init(left: Int) { self.left = left }

    package func take() -> Bool {
        left -= 1
        return left >= 0
    }
}
