import TrammelCapture
import TrammelControlAPI
import TrammelCore

/// What an attach request means on this node at this moment.
struct FoundTarget: Sendable {
    enum State: Sendable {
        case there(CaptureTarget)
        /// It may come: why it is not there.
        case absent(TrammelError)
        /// A process of the host itself, which has to be moved into a cgroup of its own first.
        case toMove(Int32)
    }

    /// What it is called by, in the words of the command line: `unit web.service`.
    let text: String
    /// Of a process that has still to be moved it is one that nothing else has.
    let identity: CaptureIdentity
    let state: State
    var unit: UnitName?
    var warnings: [String] = []
}

extension AttachRequest {
    /// Whether it names something that is the same after it has gone and come back: a unit, a cgroup by its path, a user.
    var isDurable: Bool { unit != nil || cgroup != nil || uid != nil }

    /// What is asked for, in the words of the command line.
    var targetText: String {
        if let unit { return "unit \((try? UnitName(unit))?.description ?? unit)" }
        if let cgroup { return "cgroup \(cgroup)" }
        if let uid { return "uid \(uid)" }
        if let pid { return "pid \(pid)" }
        return "netns \(netns ?? "")"
    }
}

extension CaptureTarget {
    var cgroup: CgroupReference? {
        if case .cgroup(let cgroup) = self { cgroup } else { nil }
    }
}

extension CaptureIdentity {
    var isOfHost: Bool {
        if case .namespace = self { false } else { true }
    }

    var cgroupPath: String? {
        if case .cgroup(let path) = self { path } else { nil }
    }
}
