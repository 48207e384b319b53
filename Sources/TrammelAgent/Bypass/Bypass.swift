import Glibc
import Logging
import Synchronization
import TrammelCapture
import TrammelControlAPI
import TrammelCore
import TrammelTelemetry

/// Break-glass: whose traffic goes past the agent, at whose word, and seeing to it.
///
/// It has nothing to do with the data loops, nor with the queue of changes, nor with the store: whatever is wrong with
/// those, a workload can be let past. Every call is synchronous and may be made from any thread.
final class Bypass: Sendable {
    private struct State {
        var asked = BypassMemory()
        /// Whether the file is there.
        var hasFile = false
        /// Why the last change is not kept.
        var unkept: String?
        var workloads: [WorkloadName: OpenedWorkload] = [:]
        /// Those whose traffic goes past the agent, and those of which that could not be brought about or ended.
        var past: Set<WorkloadName> = []
        var failures: [WorkloadName: String] = [:]

        var warnings: [String] { failures.values.sorted() + [unkept].compactMap(\.self) }

        func reasons(_ name: WorkloadName) -> [WorkloadBypass.Reason] {
            (asked.workloads.contains("\(name)") ? [.workload] : []) + (asked.all ? [.all] : [])
                + (hasFile ? [.file] : [])
        }
    }

    private let capture: WorkloadCapture
    private let memory: String
    private let file: String
    private let logger: Logger
    private let state: Mutex<State>

    /// - Parameters:
    ///   - directory: the state directory, where what was asked for is kept.
    ///   - file: whose presence asks for all.
    init(capture: WorkloadCapture, directory: String, file: String, logger: Logger, metrics: AgentMetrics) {
        self.capture = capture
        memory = directory + "/bypass.json"
        self.file = file
        self.logger = logger
        var state = State()
        do {
            state.asked = try BypassMemory(from: memory)
        } catch {
            // Rather captured than let past every policy for want of knowledge.
            logger.error("who is to be let past the agent cannot be read, and nobody is: \(error)")
        }
        state.hasFile = access(file, F_OK) == 0
        self.state = Mutex(state)
        metrics.gauge("trammel_bypass", help: "Attached workloads whose traffic goes past the agent on purpose.") {
            [self] in Double(self.state.withLock { $0.past.count })
        }
        metrics.gauge("trammel_bypass_all", help: "1 while the traffic of all workloads is to go past the agent.") {
            [self] in self.state.withLock { $0.asked.all || $0.hasFile } ? 1 : 0
        }
        tell()
    }

    // MARK: Workloads that come and go

    /// Turns the traffic of a workload that is attached, unless it is to go past the agent. Those of several are turned at
    /// the same time.
    func begin(_ name: WorkloadName, _ opened: OpenedWorkload) throws {
        while true {
            let isPast = state.withLock { !$0.reasons(name).isEmpty }
            if isPast { try capture.letPast(opened.id) } else { try capture.install(opened) }
            // Nobody else sees to it until it is among the others, so what was asked for meanwhile is seen to here.
            let isAsAsked = state.withLock { state in
                guard isPast != state.reasons(name).isEmpty else { return false }
                state.workloads[name] = opened
                state.failures[name] = nil
                if isPast { state.past.insert(name) } else { state.past.remove(name) }
                return true
            }
            if isAsAsked { return }
        }
    }

    /// - Parameter forget: it was detached for good, so what was asked for it alone is over.
    func end(_ name: WorkloadName, forget: Bool = false) {
        state.withLock { state in
            state.workloads[name] = nil
            state.past.remove(name)
            state.failures[name] = nil
            if forget, state.asked.workloads.remove("\(name)") != nil { keep(&state) }
        }
    }

    // MARK: Switching

    func set(_ on: Bool) -> TrammelControlAPI.Bypass {
        change(nil, on) { $0.asked.all = on }
        return now
    }

    /// - Throws: `notFound` for a workload that is not attached; what was asked for one that has gone can be ended.
    func set(_ on: Bool, _ name: WorkloadName) throws -> WorkloadBypass {
        _ = try now(name)
        change(name, on) { state in
            if on { state.asked.workloads.insert("\(name)") } else { state.asked.workloads.remove("\(name)") }
        }
        return try now(name)
    }

    private func change(_ name: WorkloadName?, _ on: Bool, _ body: (inout State) -> Void) {
        let (changed, bypassed) = state.withLock { state in
            let before = state.asked
            body(&state)
            if state.asked != before { keep(&state) }
            bringAbout(&state)
            return (state.asked != before, state.past.count)
        }
        guard changed else { return }
        let whom = name.map { "\($0)" } ?? "all workloads"
        (name.map(logger.about) ?? logger).warning(
            "bypass is switched \(on ? "on" : "off") for \(whom); \(bypassed) attached workloads go past the agent now")
    }

    /// Looks whether the file is there, and tries again what could not be done. To be called over and over.
    func look() {
        let isThere = access(file, F_OK) == 0
        let changed = state.withLock { state in
            let changed = state.hasFile != isThere
            state.hasFile = isThere
            if changed || !state.failures.isEmpty { bringAbout(&state) }
            return changed
        }
        if changed { logger.warning("bypass is switched \(isThere ? "on" : "off") for all workloads by \(file)") }
        if changed { tell() }
    }

    private func bringAbout(_ state: inout State) {
        let told = state.failures
        state.failures = [:]
        let jobs = state.workloads.map { name, opened in (name, opened, !state.reasons(name).isEmpty) }
            .filter { name, _, isWanted in isWanted != state.past.contains(name) }
        let failed = capture.letPast(jobs.filter { $2 }.map(\.1.id)).merging(
            capture.captureAgain(jobs.filter { !$2 }.map(\.1))
        ) { first, _ in first }
        for (name, opened, isWanted) in jobs {
            if let failure = failed[opened.id] {
                let text = "\(name) cannot be \(isWanted ? "let past" : "captured again"): \(failure)"
                state.failures[name] = text
                if told[name] != text { logger.about(name).error("\(text)") }
            } else if isWanted {
                state.past.insert(name)
            } else {
                state.past.remove(name)
            }
        }
    }

    private func keep(_ state: inout State) {
        do {
            try state.asked.write(to: memory)
            state.unkept = nil
        } catch {
            state.unkept = "what bypass was switched to is not kept over a restart: \(error)"
            logger.error("\(state.unkept ?? "")")
        }
    }

    // MARK: Telling

    var now: TrammelControlAPI.Bypass {
        state.withLock { state in
            TrammelControlAPI.Bypass(
                all: state.asked.all, file: state.hasFile ? file : nil, workloads: state.asked.workloads.sorted(),
                bypassed: state.past.sorted().map(\.description), warnings: state.warnings)
        }
    }

    func now(_ name: WorkloadName) throws -> WorkloadBypass {
        try state.withLock { state in
            guard state.workloads[name] != nil || state.asked.workloads.contains("\(name)") else {
                throw TrammelError(
                    .notFound, code: "workload-unknown", "no workload \(name) is attached",
                    hint: "`trammel workloads` lists them")
            }
            return WorkloadBypass(
                workload: "\(name)", bypassed: state.past.contains(name), because: state.reasons(name),
                warnings: [state.failures[name], state.unkept].compactMap(\.self))
        }
    }

    /// In a sentence, while anybody's traffic is to go past the agent.
    var alarm: String? {
        state.withLock { state in
            var parts: [String] = []
            if state.hasFile { parts.append("for all workloads, by the file \(file)") }
            if state.asked.all { parts.append("for all workloads") }
            if !state.asked.workloads.isEmpty {
                parts.append("for \(state.asked.workloads.sorted().joined(separator: ", "))")
            }
            guard !parts.isEmpty else { return nil }
            return "bypass is on \(parts.joined(separator: " and ")): their traffic is uncaptured and under no policy"
        }
    }

    var warnings: [String] { state.withLock(\.warnings) }

    /// Why a workload goes past the agent, in a sentence; nil where it does not.
    func reason(_ name: WorkloadName) -> String? {
        state.withLock { state in
            guard state.past.contains(name) else { return nil }
            return because(state.reasons(name), name)
        }
    }

    /// Why one that is to be attached would go past the agent; nil where it would not.
    func reasonToCome(_ name: WorkloadName) -> String? {
        state.withLock { state in
            let reasons = state.reasons(name)
            return reasons.isEmpty ? nil : because(reasons, name)
        }
    }

    private func because(_ reasons: [WorkloadBypass.Reason], _ name: WorkloadName) -> String {
        let ends = reasons.map { reason in
            switch reason {
            case .workload: "`trammel bypass off \(name)` ends it"
            case .all: "`trammel bypass off` ends it"
            case .file: "removing \(file) ends it"
            }
        }
        return "its traffic goes past the agent; " + ends.joined(separator: " and ")
    }

    /// Loud: at the start, at each change, and over and over.
    func tell() {
        if let alarm { logger.warning("\(alarm)") }
    }
}

/// Sees to the file, and says again and again that bypass is on.
struct BypassWatch: Sendable {
    let bypass: Bypass

    /// Until the task is cancelled.
    func run() async {
        var looks = 0
        while (try? await Task.sleep(for: BypassWatch.interval)) != nil {
            bypass.look()
            looks += 1
            if looks % BypassWatch.looksBetweenAlarms == 0 { bypass.tell() }
        }
    }

    /// A look is one access(2): it also sees a file whose directory is not there yet, or is mounted over.
    private static let interval = Duration.milliseconds(250)
    private static let looksBetweenAlarms = 240
}
