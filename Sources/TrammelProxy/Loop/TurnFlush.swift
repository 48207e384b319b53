import NIOCore

/// Writes of one turn of the loop leave together at its end. A peer that sleeps is woken by the first of them and finds
/// the others when it looks, instead of going back to sleep between two.
struct TurnFlush {
    /// `@unchecked Sendable`: touched by `flushSoon`, which handlers of the loop call on it, and by the task, which the
    /// loop runs.
    private final class Waiting: @unchecked Sendable {
        var contexts: [ChannelHandlerContext] = []
        private var flushing: [ChannelHandlerContext] = []
        private let buffers: SpareBuffers

        init(_ buffers: SpareBuffers) { self.buffers = buffers }

        func flush() {
            // What is asked for meanwhile has its turn at the end of the next.
            swap(&contexts, &flushing)
            for context in flushing { context.flush() }
            flushing.removeAll(keepingCapacity: true)
            buffers.settle()
        }
    }

    private let loop: any EventLoop
    private let waiting: Waiting
    /// Made once, for a loop under load needs it in every turn.
    private let task: @Sendable () -> Void

    /// - Parameter buffers: those that the writes leave in.
    init(_ loop: any EventLoop, _ buffers: SpareBuffers) {
        self.loop = loop
        let waiting = Waiting(buffers)
        self.waiting = waiting
        task = { waiting.flush() }
    }

    /// Flushes `context` at the end of this turn.
    func flushSoon(_ context: ChannelHandlerContext) {
        // A request and the end of the read that brought it ask one after the other.
        if waiting.contexts.last === context { return }
        if waiting.contexts.isEmpty { loop.execute(task) }
        waiting.contexts.append(context)
    }
}
