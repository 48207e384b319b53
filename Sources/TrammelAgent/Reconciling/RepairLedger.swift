import Synchronization
import TrammelCapture
import TrammelControlAPI
import TrammelCore
import TrammelTelemetry

/// What was put back, and what could not be: for status, listings and metrics.
final class RepairLedger: Sendable {
    /// Something about a workload's capture that somebody has to see to.
    struct Trouble: Equatable, Sendable {
        let text: String
        /// When it was last told in the log.
        var told: MonotonicTime
    }

    private struct State {
        var repairs: [WorkloadID: AttachedWorkload.Repair] = [:]
        var troubles: [WorkloadID: Trouble] = [:]
        /// Of which no connection was seen to arrive.
        var unproven: [WorkloadID: String] = [:]
    }

    private let state = Mutex(State())
    private let counters: [CapturePart: AgentCounter]
    private let failures: AgentCounter

    init(_ metrics: AgentMetrics) {
        counters = Dictionary(
            uniqueKeysWithValues: CapturePart.allCases.map { part in
                let counter = metrics.counter(
                    "trammel_capture_repairs_total",
                    help: "Times that what others had changed of the capture was put back, by what it was.",
                    labels: [("reason", part.rawValue)])
                return (part, counter)
            })
        failures = metrics.counter(
            "trammel_capture_repairs_failed_total", help: "Times that it could not be put back.")
    }

    func note(_ repair: CaptureReport.Repair, of workload: WorkloadID, at time: WallTime) {
        for part in repair.parts { counters[part]?.add() }
        state.withLock { state in
            state.repairs[workload] = AttachedWorkload.Repair(
                at: Timestamp(time), drift: repair.drift, by: repair.author,
                count: (state.repairs[workload]?.count ?? 0) + 1)
        }
    }

    func noteFailure() { failures.add() }

    /// Has the trouble stand until it is `settled`.
    /// - Returns: whether it is to be told in the log: when it is new, and every so often.
    func note(trouble text: String, of workload: WorkloadID, at now: MonotonicTime) -> Bool {
        state.withLock { state in
            if let known = state.troubles[workload], now.nanoseconds - known.told.nanoseconds < Self.silence {
                state.troubles[workload] = Trouble(text: text, told: known.told)
                return false
            }
            state.troubles[workload] = Trouble(text: text, told: now)
            return true
        }
    }

    /// - Returns: whether there was one.
    func settle(_ workload: WorkloadID) -> Bool {
        state.withLock { $0.troubles.removeValue(forKey: workload) != nil }
    }

    /// Has it stand that connections of the workload do not arrive, and why; nil: they do.
    /// - Returns: whether that is another word than before.
    func note(unproven reason: String?, of workload: WorkloadID) -> Bool {
        state.withLock { state in
            let before = state.unproven[workload]
            state.unproven[workload] = reason
            return before != reason
        }
    }

    /// Those that are to be looked at again.
    var unproven: [WorkloadID] { state.withLock { Array($0.unproven.keys) } }

    /// - Parameter shared: what the workload has in common with others.
    func lastRepair(of workload: WorkloadID, shared: WorkloadID?) -> AttachedWorkload.Repair? {
        state.withLock { state in
            let found = [workload, shared].compactMap { $0.flatMap { state.repairs[$0] } }
            return found.max { $0.at.milliseconds < $1.at.milliseconds }
        }
    }

    func trouble(of workload: WorkloadID, shared: WorkloadID?) -> String? {
        state.withLock { state in
            (state.troubles[workload] ?? shared.flatMap { state.troubles[$0] })?.text ?? state.unproven[workload]
        }
    }

    func forget(_ workload: WorkloadID) {
        state.withLock { state in
            state.repairs[workload] = nil
            state.troubles[workload] = nil
            state.unproven[workload] = nil
        }
    }

    private static let silence: UInt64 = 30_000_000_000
}
