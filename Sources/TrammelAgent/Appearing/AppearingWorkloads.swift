import TrammelCapture
import TrammelConfig
import TrammelControlAPI
import TrammelCore

/// What became of the Workload resources that are not attached: who waits, and for what.
struct AppearingWorkloads: Sendable {
    struct Waiting: Sendable {
        let candidate: WorkloadCandidate
        let reason: String
        /// Whether somebody has to do something about it, and not only to wait.
        let isTrouble: Bool
        let since: WallTime
    }

    /// An attach that was refused, and when it is tried again.
    private struct Refusal: Sendable {
        let identity: CaptureIdentity
        let request: AttachRequest
        let reason: String
        /// Nanoseconds.
        let pause: Int64
        let next: WallTime
    }

    /// A namespace that has just appeared, and what it had at the last look.
    private struct Newcomer: Sendable {
        let identity: CaptureIdentity
        let facts: NamespaceFacts
        let since: WallTime
    }

    private(set) var waiting: [WorkloadName: Waiting] = [:]
    private var newcomers: [WorkloadName: Newcomer] = [:]
    /// What is there when the agent starts is not new.
    private var hasLooked = false
    /// Whether a look is on its way that the newcomers wait for.
    var isLookingAgain = false
    private var refusals: [WorkloadName: Refusal] = [:]
    /// In which what fits patterns of cgroups and units comes and goes; absolute.
    var folders: Set<String> = []
    /// The Workload resources of a version of the set, the oldest first: they are asked for twice a second.
    private var listed: (version: UInt64, resources: [Resource]) = (.max, [])

    private static let shortestPause: Int64 = 1_000_000_000
    private static let longestPause: Int64 = 60_000_000_000

    mutating func resources(of set: ResourceSet) -> [Resource] {
        if listed.version != set.version {
            let entries = set.entries.values.filter { $0.resource.key.kind == .workload }
            listed = (set.version, entries.sorted { $0.created < $1.created }.map(\.resource))
        }
        return listed.resources
    }

    var hasNewcomers: Bool { !newcomers.isEmpty }

    /// Whether a namespace that has appeared is set up: it has addresses, and those it had at the look before. An attach
    /// takes what it finds, and whoever makes a namespace gives it its interfaces one after the other. One that gets none
    /// is attached after three seconds.
    mutating func isSetUp(
        _ candidate: WorkloadCandidate, _ identity: CaptureIdentity, _ facts: NamespaceFacts, at now: WallTime
    ) -> Bool {
        let known = newcomers[candidate.name]
        let isKnown = known?.identity == identity
        let since = isKnown ? known?.since ?? now : now
        if !facts.addresses.isEmpty, !hasLooked || (isKnown && known?.facts == facts) { return true }
        if now.nanoseconds - since.nanoseconds > 3_000_000_000 { return true }
        newcomers[candidate.name] = Newcomer(identity: identity, facts: facts, since: since)
        return false
    }

    /// Why it is not to be tried now; nil where it is: it was not refused, or as another namespace, or long enough ago.
    func refusal(of candidate: WorkloadCandidate, _ identity: CaptureIdentity, at now: WallTime) -> String? {
        guard let refusal = refusals[candidate.name], refusal.identity == identity,
            refusal.request == candidate.request,
            now.nanoseconds < refusal.next.nanoseconds
        else { return nil }
        return refusal.reason
    }

    mutating func refuse(
        _ candidate: WorkloadCandidate, _ identity: CaptureIdentity, _ reason: String, at now: WallTime
    ) {
        let earlier = refusals[candidate.name]
        let isSame = earlier?.identity == identity && earlier?.request == candidate.request
        let pause = isSame ? min(Self.longestPause, (earlier?.pause ?? 0) * 2) : Self.shortestPause
        refusals[candidate.name] = Refusal(
            identity: identity, request: candidate.request, reason: reason, pause: pause,
            next: WallTime(nanoseconds: now.nanoseconds + pause))
    }

    /// Notes who waits now.
    /// - Returns: those whose reason is new, for a log that says everything once.
    mutating func settle(
        _ now: [(candidate: WorkloadCandidate, reason: String, isTrouble: Bool)], at time: WallTime
    ) -> [Waiting] {
        var next: [WorkloadName: Waiting] = [:]
        var news: [Waiting] = []
        for (candidate, reason, isTrouble) in now {
            // Of two resources that ask for one name the older is told of first.
            guard next[candidate.name] == nil else { continue }
            let old = waiting[candidate.name]
            let entry = Waiting(
                candidate: candidate, reason: reason, isTrouble: isTrouble, since: old?.since ?? time)
            next[candidate.name] = entry
            if old?.reason != reason { news.append(entry) }
        }
        waiting = next
        hasLooked = true
        newcomers = newcomers.filter { next[$0.key] != nil }
        refusals = refusals.filter { next[$0.key] != nil }
        return news
    }

    /// For `trammel status`.
    var warnings: [String] {
        waiting.values.filter(\.isTrouble).sorted { $0.candidate.name < $1.candidate.name }.map(\.sentence)
    }
}

extension AppearingWorkloads.Waiting {
    /// `conf.d/w.yaml:3: Workload default/web is not attached as default/web: …`.
    var sentence: String {
        "\(candidate.location): \(candidate.resource) is not attached as \(candidate.name): \(reason)"
    }

    /// As the control API tells of it.
    var described: TrammelControlAPI.AttachedWorkload {
        let request = candidate.request
        return TrammelControlAPI.AttachedWorkload(
            namespace: request.namespace, name: request.name, serviceAccount: request.serviceAccount,
            labels: request.labels, target: request.targetText, state: .waiting, reason: reason,
            captureMode: request.captureMode.rawValue, failureMode: request.failureMode.rawValue, addresses: [],
            attachedAt: Timestamp(since))
    }
}
