import TrammelCapture
import TrammelControlAPI
import TrammelCore

/// Where a workload of the host itself is, as it was found last.
struct HostPlace: Sendable {
    /// As it was asked for: `unit web.service`.
    let text: String
    let unit: UnitName?
    /// Whose processes are captured, as the rules have it; nil for a user's.
    var cgroup: CgroupReference?
    /// Why there is nothing to capture at the moment; nil while there is.
    var reason: String?
    /// Since when there is nothing; nil while there is.
    var goneSince: MonotonicTime?

    /// Nil for what is in a network namespace of its own.
    init?(_ found: FoundTarget, _ settled: SettledTarget) {
        guard found.identity.isOfHost else { return nil }
        unit = found.unit
        cgroup = settled.target.cgroup
        guard let cgroup, TargetFinder.isOwn(cgroup.path) else {
            text = found.text
            return
        }
        text = "\(found.text) (\(cgroup.path.split(separator: "/").last ?? ""))"
    }
}

/// What is captured for an attach request, after whatever had to be done for it.
struct SettledTarget: Sendable {
    let target: CaptureTarget
    let warnings: [String]
}
