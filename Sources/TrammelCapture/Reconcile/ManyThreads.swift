import CNetfilter
import Glibc
import Synchronization

/// Blocking work of the same kind, on several threads of its own for as long as it takes.
///
/// A change of rules is mostly a wait for the kernel, in one namespace at a time, so many go on at once even with few
/// cores.
enum ManyThreads {
    private struct Progress<Output: Sendable>: Sendable {
        var next = 0
        var outputs: [Output?]
    }

    private final class Board<Input: Sendable, Output: Sendable>: Sendable {
        private let inputs: [Input]
        private let body: @Sendable (Input) -> Output
        private let progress: Mutex<Progress<Output>>

        init(_ inputs: [Input], _ body: @escaping @Sendable (Input) -> Output) {
            self.inputs = inputs
            self.body = body
            progress = Mutex(Progress(outputs: Array(repeating: nil, count: inputs.count)))
        }

        var outputs: [Output] { progress.withLock { $0.outputs.compactMap(\.self) } }

        /// Does what nobody else has begun, until nothing is left.
        func work() {
            while true {
                let index = progress.withLock { progress in
                    progress.next += 1
                    return progress.next - 1
                }
                guard index < inputs.count else { return }
                let output = body(inputs[index])
                progress.withLock { $0.outputs[index] = output }
            }
        }
    }

    /// What a thread is given, whatever the types are.
    private final class Load {
        let work: () -> Void
        init(_ work: @escaping () -> Void) { self.work = work }
    }

    /// - Returns: what became of each, in order.
    static func map<Input: Sendable, Output: Sendable>(
        _ inputs: [Input], atOnce most: Int = 16, _ body: @escaping @Sendable (Input) -> Output
    ) -> [Output] {
        guard inputs.count > 1 else { return inputs.map(body) }
        let board = Board(inputs, body)
        var threads: [pthread_t] = []
        for _ in 1..<min(most, inputs.count) {
            var thread = pthread_t()
            let task = Unmanaged.passRetained(Load(board.work))
            let failure = pthread_create(
                &thread, nil,
                { argument in
                    if let argument { Unmanaged<Load>.fromOpaque(argument).takeRetainedValue().work() }
                    return nil
                }, task.toOpaque())
            // With fewer it takes longer.
            guard failure == 0 else {
                task.release()
                break
            }
            threads.append(thread)
        }
        board.work()
        for thread in threads { pthread_join(thread, nil) }
        return board.outputs
    }
}
