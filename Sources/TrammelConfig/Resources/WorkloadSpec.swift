package import TrammelCore

/// `trammel.dev/v1 Workload`: what to attach, whenever it is there.
///
/// Attached when the namespace, process, unit, cgroup or user appears, detached when the resource goes.
package struct WorkloadSpec: Sendable, Equatable {
    package var target: Target
    package var labels: [String: String]
    /// `default` where absent.
    package var serviceAccount: String
    /// By name, for services whose `targetPort` is a name.
    package var ports: [String: UInt16]
    /// Without an agent new connections go where they were going, rather than being refused.
    package var failsOpen: Bool
    /// Of the attach request: `redirect`, `tproxy`, or `auto`.
    package var captureMode: String?
    /// Its fields stand beside the others.
    package var scope: CaptureScope

    /// Names and paths may have `*` and `?` in them: each that fits becomes a workload of its own, named after what it is.
    package enum Target: Sendable, Hashable {
        /// A name under /run/netns or an absolute path.
        case netns(String)
        case pid(Int32)
        /// A unit of the host's systemd, with its type.
        case unit(String)
        /// A path below the root of the v2 hierarchy.
        case cgroup(String)
        /// A user of the host, by name or by number.
        case uid(String)
    }

    package init(
        target: Target, labels: [String: String] = [:], serviceAccount: String = "default",
        ports: [String: UInt16] = [:], failsOpen: Bool = false, captureMode: String? = nil,
        scope: CaptureScope = CaptureScope()
    ) {
        self.target = target
        self.labels = labels
        self.serviceAccount = serviceAccount
        self.ports = ports
        self.failsOpen = failsOpen
        self.captureMode = captureMode
        self.scope = scope
    }
}
