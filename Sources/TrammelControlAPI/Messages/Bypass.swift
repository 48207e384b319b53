import TrammelCore

/// `GET` and `PUT /v1/bypass`: whose traffic goes straight to where it was going, past the agent and every policy.
package struct Bypass: Codable, Hashable, Sendable {
    /// Whether everybody's does, as it was asked for here.
    package var all: Bool
    /// The file whose presence asks for the same, while it is there.
    package var file: String?
    /// Those for which it was asked one by one, `namespace/name`, in that order.
    package var workloads: [String]
    /// The attached workloads whose traffic goes past the agent now.
    package var bypassed: [String]
    /// What could not be done, each in a sentence; it is tried again.
    package var warnings: [String]

    package init(
        all: Bool, file: String? = nil, workloads: [String] = [], bypassed: [String] = [], warnings: [String] = []
    ) {
        self.all = all
        self.file = file
        self.workloads = workloads
        self.bypassed = bypassed
        self.warnings = warnings
    }
}

/// `GET` and `PUT /v1/bypass/{namespace}/{name}`: the same of one workload.
package struct WorkloadBypass: Codable, Hashable, Sendable {
    package enum Reason: String, Codable, Hashable, Sendable, CaseIterable {
        /// Asked for this one.
        case workload
        /// Asked for all.
        case all
        /// The file is there.
        case file
    }

    package var workload: String
    /// Whether its traffic goes past the agent now.
    package var bypassed: Bool
    /// What asks for it: it ends when none is left.
    package var because: [Reason]
    package var warnings: [String]

    package init(workload: String, bypassed: Bool, because: [Reason] = [], warnings: [String] = []) {
        self.workload = workload
        self.bypassed = bypassed
        self.because = because
        self.warnings = warnings
    }
}

/// What a `PUT` says.
package struct BypassRequest: Codable, Hashable, Sendable, StrictMessage {
    package static let memberNames = ["on"]

    package var on: Bool

    package init(on: Bool) { self.on = on }
}
