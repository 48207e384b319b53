import Foundation
import Synchronization

/// A thread of a test's own, which ends when it is told to and then has a result.
final class Worker: Sendable {
    private let isStopped = Atomic<Bool>(false)
    private let result = Mutex<Int>(0)
    private let done = DispatchSemaphore(value: 0)

    init(_ body: @escaping @Sendable (_ isStopped: () -> Bool) -> Int) {
        let thread = Thread { [self] in
            let result = body { isStopped.load(ordering: .relaxed) }
            self.result.withLock { $0 = result }
            done.signal()
        }
        thread.start()
    }

    func stop() -> Int {
        isStopped.store(true, ordering: .relaxed)
        done.wait()
        return result.withLock { $0 }
    }
}
