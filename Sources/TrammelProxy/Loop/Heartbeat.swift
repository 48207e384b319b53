package import NIOCore
import NIOPosix
import Synchronization

/// Beats for as long as every one of some event loops turns: once each has had its turn, one after the other, and again
/// after a rest. One that is stuck holds up the round, and with it every beat to come.
package final class Heartbeat: Sendable {
    private let loops: [any EventLoop]
    private let rest: TimeAmount
    private let beat: @Sendable () -> Void
    private let isEnding = Atomic<Bool>(false)

    /// - Parameter beat: called on the last of the loops; must not block.
    init(of loops: [any EventLoop], rest: TimeAmount, beat: @escaping @Sendable () -> Void) {
        self.loops = loops
        self.rest = rest
        self.beat = beat
        pass(to: 0)
    }

    private func pass(to index: Int) {
        guard !isEnding.load(ordering: .relaxed) else { return }
        guard index < loops.count else {
            beat()
            loops[0].scheduleTask(in: rest) { self.pass(to: 1) }
            return
        }
        loops[index].execute { self.pass(to: index + 1) }
    }

    /// Beats no more. To be awaited before the loops are shut down: whatever is passed on is passed on by then.
    package func end() async {
        isEnding.store(true, ordering: .relaxed)
        for loop in loops { try? await loop.submit {}.get() }
    }
}

extension DataPlane {
    /// Of the data loops.
    package func heartbeat(rest: TimeAmount, beat: @escaping @Sendable () -> Void) -> Heartbeat {
        Heartbeat(of: Array(group.makeIterator()), rest: rest, beat: beat)
    }
}
