/// Runs changes one after the other, in the order in which they were asked for. An actor alone does not: it takes the
/// next call up while one awaits.
actor ChangeQueue {
    private var last: Task<Void, Never>?

    func run<R: Sendable>(_ change: @escaping @Sendable () async throws -> R) async throws -> R {
        let before = last
        let task = Task {
            await before?.value
            return try await change()
        }
        last = Task { _ = await task.result }
        return try await task.value
    }
}
