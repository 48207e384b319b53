/// `GET /v1/doctor`: what was looked at, what was found, and what to do about it.
package struct DoctorReport: Codable, Hashable, Sendable {
    /// Nothing was found that wants doing.
    package var healthy: Bool
    package var checks: [DoctorCheck]

    package init(checks: [DoctorCheck]) {
        self.checks = checks
        healthy = !checks.contains { $0.state == .warning || $0.state == .failure }
    }
}

/// One thing that was looked at.
package struct DoctorCheck: Codable, Hashable, Sendable {
    package enum State: String, Codable, Hashable, Sendable, CaseIterable {
        case ok
        /// It could not be looked at, or does not apply; `found` says why.
        case skipped
        /// It works, and may soon not, or not as meant.
        case warning
        /// It does not work.
        case failure
    }

    /// What was looked at, in a word.
    package var name: String
    /// `namespace/name`, where it is about one workload.
    package var workload: String?
    package var state: State
    package var found: String
    /// What that leads to; nil where all is well.
    package var meaning: String?
    /// What to do about it.
    package var advice: String?

    package init(
        _ name: String, _ workload: String?, _ state: State, _ found: String, meaning: String? = nil,
        advice: String? = nil
    ) {
        self.name = name
        self.workload = workload
        self.state = state
        self.found = found
        self.meaning = meaning
        self.advice = advice
    }

    /// One that is about the whole node.
    package init(_ name: String, _ state: State, _ found: String, meaning: String? = nil, advice: String? = nil) {
        self.init(name, nil, state, found, meaning: meaning, advice: advice)
    }
}
