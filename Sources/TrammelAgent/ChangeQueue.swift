import TrammelCore

/// Runs changes one after the other, in the order in which they were asked for. An actor alone does not: it takes the
/// next call up while one awaits.
///
/// The API lets fewer clients in than may wait here, and each has one request under way.
actor ChangeQueue {
    nonisolated let waiting = QueueDepth(limit: 1024)
    private var last: Task<Void, Never>?

    func run<R: Sendable>(_ change: @escaping @Sendable () async throws -> R) async throws -> R {
        guard waiting.admits() else {
            throw TrammelError(
                .exhausted, code: "too-many-changes", "\(waiting.limit) changes wait for their turn already",
                hint: "try again when they are done")
        }
        defer { waiting.left() }
        let before = last
        let task = Task {
            await before?.value
            return try await change()
        }
        last = Task { _ = await task.result }
        return try await task.value
    }
}
