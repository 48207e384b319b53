import CTrammelLinux
import Logging
import Synchronization
import TrammelCore
import TrammelProxy
import TrammelTelemetry

/// Watches how much memory the agent holds and sheds in steps before the kernel would end it.
final class MemoryWatch: Sendable {
    /// As it was at the last look.
    struct State: Sendable {
        var step = OverloadStep.none
        var resident = 0
        /// Percent.
        var fullness = 0.0
    }

    let budget: MemoryBudget
    private let logger: Logger
    private let current: Mutex<State>
    private let entered: [OverloadStep: AgentCounter]

    private static let rhythm = Duration.milliseconds(250)
    /// Looks between two rounds of closing what is idle and of giving memory back to the kernel.
    private static let looksBetweenRounds = 4

    init(_ budget: MemoryBudget, metrics: AgentMetrics, logger: Logger) {
        self.budget = budget
        self.logger = logger
        let reading = budget.read()
        current = Mutex(State(resident: reading.resident, fullness: reading.fullness * 100))
        entered = Dictionary(
            uniqueKeysWithValues: OverloadStep.allCases.dropFirst().map { step in
                (
                    step,
                    metrics.counter(
                        "trammel_overload_steps_total",
                        help: "Times that the agent began to do without something, by what.",
                        labels: [("step", step.label)])
                )
            })
        metrics.gauge(
            "trammel_overload_step",
            help: "0 while there is memory enough; 1: small buffers; 2: no idle connections; 3: no new connections."
        ) { [self] in Double(state.step.rawValue) }
        metrics.gauge("trammel_memory_limit_bytes", help: "Memory that the agent may hold.") { Double(budget.limit) }
        metrics.gauge("trammel_memory_fullness_ratio", help: "How much of that it holds, 0 to 1.") { [self] in
            state.fullness / 100
        }
    }

    var state: State { current.withLock { $0 } }

    /// Until the task is cancelled.
    @concurrent func run(_ dataPlane: DataPlane) async {
        var steps = OverloadSteps()
        var looks = 0
        while (try? await Task.sleep(for: Self.rhythm)) != nil {
            let reading = budget.read()
            let before = steps.step
            let hasChanged = steps.look(at: reading.fullness)
            let step = steps.step
            current.withLock {
                $0 = State(step: step, resident: reading.resident, fullness: reading.fullness * 100)
            }
            if hasChanged { tell(before, step) }
            looks = hasChanged ? 0 : looks + 1
            guard hasChanged || (step > .none && looks % Self.looksBetweenRounds == 0) else { continue }
            await dataPlane.shed(step)
            // What was let go of counts until it is back with the kernel.
            if step > .none { trammel_give_memory_back() }
        }
    }

    private func tell(_ before: OverloadStep, _ step: OverloadStep) {
        let words = "\(words): \(step.words)"
        if step > before {
            for entry in OverloadStep.allCases where entry > before && entry <= step { entered[entry]?.add() }
            logger.warning("memory is short, \(words)")
        } else {
            logger.notice("memory is less short, \(words)")
        }
    }

    /// How much there is, and of how much.
    var words: String {
        let state = state
        let (held, most) = (state.resident >> 20, budget.limit >> 20)
        return "\(held) MiB of \(most) MiB (\(Int(state.fullness)) %, \(budget.origin))"
    }

    /// Why nothing new is taken up; nil while it is.
    var refusal: String? { state.step == .refuseNew ? "memory is short, and new connections are refused" : nil }

    /// What is amiss; nil while there is enough.
    var warning: String? {
        let step = state.step
        guard step > .none else { return nil }
        return
            "memory is short, \(words): \(step.words); raise the limit, or see trammel_workload_waiting_bytes for who "
            + "takes it"
    }
}

extension OverloadStep {
    /// In metrics and in the API.
    var label: String {
        switch self {
        case .none: "none"
        case .shrink: "shrink"
        case .closeIdle: "close_idle"
        case .refuseNew: "refuse_new"
        }
    }
}
