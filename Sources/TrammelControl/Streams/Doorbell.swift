import Synchronization

/// Wakes the one task that waits for something to happen. A ring before the wait is not lost, and many rings before it
/// are as good as one.
package final class Doorbell: Sendable {
    private enum State {
        case quiet
        case rung
        case awaited(CheckedContinuation<Void, Never>)
    }

    private let state = Mutex(State.quiet)

    package init() {}

    /// May be called from any thread, and never waits.
    package func ring() {
        let waiting = state.withLock { state -> CheckedContinuation<Void, Never>? in
            guard case .awaited(let continuation) = state else {
                state = .rung
                return nil
            }
            state = .quiet
            return continuation
        }
        waiting?.resume()
    }

    /// Returns once it has rung since the last wait, or the task is cancelled. For one task at a time.
    package func wait() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isRung = state.withLock { state -> Bool in
                    guard case .quiet = state else {
                        state = .quiet
                        return true
                    }
                    state = .awaited(continuation)
                    return false
                }
                if isRung { continuation.resume() }
            }
        } onCancel: {
            ring()
        }
    }
}
