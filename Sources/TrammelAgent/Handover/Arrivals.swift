/// Waits for a number of things that happen elsewhere.
struct Arrivals: Sendable {
    private let arrivals = AsyncStream<Void>.makeStream()

    func arrive() { arrivals.continuation.yield() }

    /// Returns when so many have arrived, or when the task is cancelled. Once only.
    func wait(for count: Int) async {
        var left = count
        for await _ in arrivals.stream {
            left -= 1
            if left == 0 { return }
        }
    }
}

extension Task where Success == Never, Failure == Never {
    static func untilCancelled() async {
        let (stream, continuation) = AsyncStream<Void>.makeStream()
        defer { continuation.finish() }
        for await _ in stream {}
    }
}
