import NIOCore
import Synchronization
import TrammelControl
import TrammelCore

/// Serves the metrics, unless another agent is to have their port.
final class MetricsPort: Sendable {
    private struct State {
        var isReleased = false
        var running: Task<Void, any Error>?
    }

    private let state = Mutex(State())
    private let changes = AsyncStream<Void>.makeStream()

    /// Until the task is cancelled.
    /// - Parameters:
    ///   - patience: how long to wait for a port that somebody has still.
    ///   - onListening: called each time that clients can connect.
    func run(
        _ server: MetricsServer, patience: Duration = .zero, onListening: @escaping @Sendable () async -> Void = {}
    ) async throws {
        var awaited = changes.stream.makeAsyncIterator()
        let end = ContinuousClock.now + patience
        while !Task.isCancelled {
            let task = state.withLock { state -> Task<Void, any Error>? in
                guard !state.isReleased else { return nil }
                let task = Task { try await server.run { _ in await onListening() } }
                state.running = task
                return task
            }
            guard let task else {
                _ = await awaited.next()
                continue
            }
            do {
                try await withTaskCancellationHandler {
                    try await task.value
                } onCancel: {
                    task.cancel()
                }
            } catch let error as TrammelError where error.code == "cannot-listen" && ContinuousClock.now < end {
                try? await Task.sleep(for: .milliseconds(10))
            }
        }
    }

    /// Another is to have the port; it is free in a moment.
    func release() {
        state.withLock { state in
            state.isReleased = true
            state.running?.cancel()
        }
    }

    /// The other one did not take it after all.
    func resume() {
        state.withLock { $0.isReleased = false }
        changes.continuation.yield()
    }
}
