import TrammelCore

/// Runs changes one after the other, in the order in which they were asked for. An actor alone does not: it takes the
/// next call up while one awaits.
actor ChangeQueue {
    private var last: Task<Void, Never>?
    /// Why there is nothing to be changed here any more.
    private var end: TrammelError?

    func run<R: Sendable>(_ change: @escaping @Sendable () async throws -> R) async throws -> R {
        let before = last
        let task = Task {
            await before?.value
            if let end { throw end }
            return try await change()
        }
        last = Task { _ = await task.result }
        return try await task.value
    }

    /// The same, and if it succeeds no change comes after it.
    func runLast<R: Sendable>(_ change: @escaping @Sendable () async throws -> R) async throws -> R {
        try await run {
            let result = try await change()
            await self.close()
            return result
        }
    }

    private func close() {
        end = TrammelError(
            .unavailable, code: "handed-over", "another process has taken over while this waited",
            hint: "nothing was changed; try again")
    }
}
