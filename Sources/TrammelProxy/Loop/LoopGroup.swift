import NIOCore
import Synchronization
import TrammelPolicy
import TrammelTelemetry

/// The data loops and what each owns. A loop's context is touched on that loop only.
///
/// `@unchecked Sendable`: `contexts` is filled once, in the initializer, and only read after; each element is used on
/// its own loop, which `context(of:)` and `onEach` see to.
final class LoopGroup: @unchecked Sendable {
    private let contexts: [LoopContext]
    private let byLoop: [ObjectIdentifier: LoopContext]
    let settings: ProxySettings
    private let connectionIDs = Atomic<UInt64>(0)

    init(contexts: [LoopContext], settings: ProxySettings) {
        self.contexts = contexts
        self.settings = settings
        byLoop = Dictionary(uniqueKeysWithValues: contexts.map { (ObjectIdentifier($0.eventLoop), $0) })
    }

    /// The context of the loop that the caller runs on.
    func context(of loop: any EventLoop) -> LoopContext {
        loop.preconditionInEventLoop()
        guard let context = byLoop[ObjectIdentifier(loop)] else {
            preconditionFailure("a data connection runs on a loop that is not one of the data loops")
        }
        return context
    }

    func nextConnectionID() -> UInt64 {
        connectionIDs.add(1, ordering: .relaxed).newValue
    }

    /// Runs `body` on every loop, at the same time, and returns the results in the order of the loops.
    func onEach<R: Sendable>(_ body: @escaping @Sendable (LoopContext) -> R) async -> [R] {
        await withTaskGroup(of: (Int, R).self) { group in
            for context in contexts {
                let loop = context.eventLoop
                let index = context.index
                group.addTask { [self] in
                    let promise = loop.makePromise(of: R.self)
                    loop.execute { promise.succeed(body(self.context(of: loop))) }
                    // The promise is only ever succeeded, or failed by a loop that is shut down, and then the agent is.
                    guard let result = try? await promise.futureResult.get() else {
                        preconditionFailure("a data loop ended before the data plane")
                    }
                    return (index, result)
                }
            }
            var results: [(Int, R)] = []
            for await result in group { results.append(result) }
            return results.sorted { $0.0 < $1.0 }.map(\.1)
        }
    }
}
