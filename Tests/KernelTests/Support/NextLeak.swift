@testable import TrammelCapture

extension FlowWatch {
    /// The next leak that is told of; nil when none is within ten seconds.
    func nextLeak() async -> FlowLeak? {
        let leaks = leaks
        let next = Task {
            var told = leaks.makeAsyncIterator()
            return await told.next()
        }
        let deadline = Task {
            try await Task.sleep(for: .seconds(10))
            next.cancel()
        }
        defer { deadline.cancel() }
        return await next.value
    }
}

extension FlowWatch {
    /// Once at the sockets of each workload.
    func lookAtSockets() {
        for workload in withSockets { lookAtSockets(of: workload) }
    }
}
