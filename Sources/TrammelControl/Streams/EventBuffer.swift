import Synchronization

/// Events from any number of writers for one slow reader, who costs them nothing: what does not fit is dropped and counted,
/// and the next event that does fit says how many went missing before it.
package final class EventBuffer<Event: Sendable>: EventSource {
    package let bell = Doorbell()

    private struct Entry {
        let event: Event
        let bytes: Int
    }

    private struct State {
        /// A ring: `count` entries from `first` on.
        var entries: [Entry?]
        var first = 0
        var count = 0
        var bytes = 0
        var lost: UInt64 = 0
        var hasEnded = false
    }

    private let state: Mutex<State>
    private let limit: Int
    private let weigh: @Sendable (Event) -> Int
    private let mark: @Sendable (inout Event, UInt64) -> Void
    private let onCancel: @Sendable () -> Void

    /// - Parameters:
    ///   - capacity: how many events may wait.
    ///   - bytes: how many bytes they may take together, by `weigh`.
    ///   - mark: writes into an event how many were lost before it; called for those only that follow a loss.
    ///   - onCancel: called when the reader is gone, so that nobody fills the buffer any more.
    package init(
        capacity: Int = 256, bytes: Int = 1 << 20, weigh: @escaping @Sendable (Event) -> Int,
        mark: @escaping @Sendable (inout Event, UInt64) -> Void, onCancel: @escaping @Sendable () -> Void = {}
    ) {
        state = Mutex(State(entries: Array(repeating: nil, count: max(1, capacity))))
        limit = bytes
        self.weigh = weigh
        self.mark = mark
        self.onCancel = onCancel
    }

    /// How many events wait.
    package var waiting: Int { state.withLock { $0.count } }

    /// Hands an event to the reader, or drops it. May be called from any thread, and never waits.
    /// - Returns: whether it was taken.
    @discardableResult package func offer(_ event: Event) -> Bool {
        let bytes = weigh(event)
        let isTaken = state.withLock { state -> Bool in
            guard !state.hasEnded else { return false }
            guard state.count < state.entries.count, state.count == 0 || state.bytes + bytes <= limit else {
                state.lost += 1
                return false
            }
            var event = event
            if state.lost > 0 { mark(&event, state.lost) }
            state.lost = 0
            state.entries[(state.first + state.count) % state.entries.count] = Entry(event: event, bytes: bytes)
            state.count += 1
            state.bytes += bytes
            return true
        }
        if isTaken { bell.ring() }
        return isTaken
    }

    /// Nothing more will come; what waits is still read.
    package func finish() {
        state.withLock { $0.hasEnded = true }
        bell.ring()
    }

    package func poll() -> Polled<Event> {
        state.withLock { state in
            guard let entry = state.entries[state.first] else { return state.hasEnded ? .ended : .nothing }
            state.entries[state.first] = nil
            state.first = (state.first + 1) % state.entries.count
            state.count -= 1
            state.bytes -= entry.bytes
            return .event(entry.event)
        }
    }

    package func cancel() {
        state.withLock { state in
            state.hasEnded = true
            for index in state.entries.indices { state.entries[index] = nil }
            state.count = 0
            state.bytes = 0
        }
        onCancel()
    }
}
