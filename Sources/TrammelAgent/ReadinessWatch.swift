import Synchronization
import TrammelCore

/// Has Mesh look again at workloads whose applications came up or went away: every half second while a port that a
/// service names is not listened on, and after a dial that was refused.
struct ReadinessWatch: Sendable {
    let mesh: Mesh
    let refused: RefusedDials

    /// Until the task is cancelled.
    func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                while (try? await Task.sleep(for: ReadinessWatch.interval)) != nil { await mesh.lookAtUnready() }
            }
            group.addTask {
                while let workload = await refused.next() {
                    await mesh.look(at: workload)
                    // An application may listen and refuse for all that; it is not to keep the agent busy.
                    try? await Task.sleep(for: ReadinessWatch.pause)
                }
            }
        }
    }

    private static let interval = Duration.milliseconds(500)
    private static let pause = Duration.milliseconds(10)
}

/// The workloads that refused a dial, each once however often it did, handed from the data loops to whoever looks.
final class RefusedDials: Sendable {
    private let noted = Mutex<Set<WorkloadID>>([])
    /// As many as there are workloads; one that finds no room refuses again.
    let waiting = QueueDepth(limit: 65_536)
    private let stream: AsyncStream<WorkloadID>
    private let continuation: AsyncStream<WorkloadID>.Continuation

    init() { (stream, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(waiting.limit)) }

    /// Called on a data loop.
    func note(_ workload: WorkloadID) {
        if noted.withLock({ $0.insert(workload).inserted }) { waiting.note(continuation.yield(workload)) }
    }

    /// Nil when the task is cancelled.
    func next() async -> WorkloadID? {
        for await workload in stream {
            _ = noted.withLock { $0.remove(workload) }
            waiting.left()
            return workload
        }
        return nil
    }
}
