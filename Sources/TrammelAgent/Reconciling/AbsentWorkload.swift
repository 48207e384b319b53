import TrammelControlAPI
import TrammelCore

/// What was attached before and is not now: its target is not there, or the attach failed. It is kept in the store and
/// tried again until it is attached, detached, or gone for good.
struct AbsentWorkload: Sendable {
    let memory: AttachmentMemory
    private(set) var reason: String
    let since: WallTime
    /// `since`, by a clock that nobody sets.
    let begun = MonotonicTime.now()
    /// Whether it is there and cannot be attached, so that somebody has to do something about it.
    private(set) var hasFailed = false
    /// When an attach that failed is tried again.
    private(set) var next = MonotonicTime.now()
    private var pause = AbsentWorkload.shortestPause

    /// Nanoseconds.
    private static let shortestPause: UInt64 = 500_000_000
    /// Whoever has mended the cause sees the effect soon; each attempt costs a few milliseconds.
    private static let longestPause: UInt64 = 8_000_000_000

    init(memory: AttachmentMemory, reason: String, since: WallTime) {
        self.memory = memory
        self.reason = reason
        self.since = since
    }

    var request: AttachRequest { memory.request }
    /// Whether it was attached to a network namespace that may be there still.
    var isInOwnNamespace: Bool { !memory.isOfHost && memory.isOfThisBoot }
    var name: WorkloadName { request.identity.name }

    /// Notes why it cannot be attached. What is merely not there costs nothing to look for and is looked for each time.
    mutating func note(_ error: any Error, at now: MonotonicTime) {
        let known = error as? TrammelError
        hasFailed = known?.kind != .notFound
        reason = hasFailed ? "\(error)" : known?.message ?? "\(error)"
        guard hasFailed else {
            pause = Self.shortestPause
            return
        }
        next = MonotonicTime(nanoseconds: now.nanoseconds + pause)
        pause = min(pause * 2, Self.longestPause)
    }

    /// `default/web is not attached again: …`.
    var sentence: String { hasFailed ? "\(name) is not attached again: \(reason)" : "\(name) waits: \(reason)" }

    /// As the control API tells of it.
    var described: TrammelControlAPI.AttachedWorkload {
        TrammelControlAPI.AttachedWorkload(
            namespace: request.namespace, name: request.name, serviceAccount: request.serviceAccount,
            labels: request.labels, target: request.targetText, state: hasFailed ? .degraded : .waiting,
            reason: reason, captureMode: request.captureMode.rawValue, failureMode: request.failureMode.rawValue,
            addresses: [], attachedAt: Timestamp(since))
    }
}
