package import TrammelCore

/// `POST /v1/workloads`: what `trammel attach` sends. Names, paths and pids are resolved in the agent's view.
///
/// Exactly one of `netns`, `pid`, `unit`, `cgroup` and `uid` says what to attach.
package struct AttachRequest: Codable, Hashable, Sendable {
    package var name: String
    package var namespace: String
    package var serviceAccount: String
    package var labels: [String: String]
    /// A name under `/run/netns` or an absolute path to a network namespace.
    package var netns: String?
    /// A process: its network namespace where it has one of its own, else it with all that have come from it.
    package var pid: Int32?
    /// A unit of the host's systemd, as systemctl takes its name.
    package var unit: String?
    /// A path below the root of the v2 hierarchy of cgroups, or below where that is mounted.
    package var cgroup: String?
    /// A user of the host, by name or by number.
    package var uid: String?
    package var failureMode: FailureMode
    package var captureMode: CaptureChoice
    /// Its fields stand beside the others.
    package var scope: CaptureScope
    /// Whether the connections that are older than the attachment are ended, so that none goes uncaptured.
    package var killExisting: Bool
    /// Allows what would else be refused as probably a mistake; never the agent's own network namespace.
    package var force: Bool

    /// What becomes of a workload's traffic while no agent lives.
    package enum FailureMode: String, Codable, Hashable, Sendable, CaseIterable {
        case closed, open
    }

    /// How outbound traffic is captured; `auto` lets the agent choose and say why.
    package enum CaptureChoice: String, Codable, Hashable, Sendable, CaseIterable {
        case auto, redirect, tproxy
    }

    package init(
        name: String, namespace: String = "default", serviceAccount: String = "default",
        labels: [String: String] = [:], netns: String? = nil, pid: Int32? = nil, unit: String? = nil,
        cgroup: String? = nil, uid: String? = nil, failureMode: FailureMode = .closed,
        captureMode: CaptureChoice = .auto, scope: CaptureScope = CaptureScope(), killExisting: Bool = false,
        force: Bool = false
    ) {
        self.name = name
        self.namespace = namespace
        self.serviceAccount = serviceAccount
        self.labels = labels
        self.netns = netns
        self.pid = pid
        self.unit = unit
        self.cgroup = cgroup
        self.uid = uid
        self.failureMode = failureMode
        self.captureMode = captureMode
        self.scope = scope
        self.killExisting = killExisting
        self.force = force
    }

    /// Only `name` and one target are needed; everything else has its default.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        func value<T: Decodable>(_ key: CodingKeys, default fallback: T) throws -> T {
            try container.decodeIfPresent(T.self, forKey: key) ?? fallback
        }
        // Decoded as wide integers first: the decoder calls a number out of range malformed JSON and names no member.
        func narrow<T: FixedWidthInteger>(_ number: Int, _ key: CodingKeys, _ what: String) throws -> T {
            guard let value = T(exactly: number) else {
                throw DecodingError.dataCorruptedError(
                    forKey: key, in: container, debugDescription: "\(number) is not a \(what)")
            }
            return value
        }
        name = try container.decode(String.self, forKey: .name)
        namespace = try value(.namespace, default: "default")
        serviceAccount = try value(.serviceAccount, default: "default")
        labels = try value(.labels, default: [:])
        netns = try container.decodeIfPresent(String.self, forKey: .netns)
        pid = try container.decodeIfPresent(Int.self, forKey: .pid).map { try narrow($0, .pid, "process id") }
        unit = try container.decodeIfPresent(String.self, forKey: .unit)
        cgroup = try container.decodeIfPresent(String.self, forKey: .cgroup)
        uid = try container.decodeIfPresent(String.self, forKey: .uid)
        failureMode = try value(.failureMode, default: .closed)
        captureMode = try value(.captureMode, default: .auto)
        scope = try CaptureScope(from: decoder)
        killExisting = try value(.killExisting, default: false)
        force = try value(.force, default: false)
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(name, forKey: .name)
        try container.encode(namespace, forKey: .namespace)
        try container.encode(serviceAccount, forKey: .serviceAccount)
        try container.encode(labels, forKey: .labels)
        try container.encodeIfPresent(netns, forKey: .netns)
        try container.encodeIfPresent(pid, forKey: .pid)
        try container.encodeIfPresent(unit, forKey: .unit)
        try container.encodeIfPresent(cgroup, forKey: .cgroup)
        try container.encodeIfPresent(uid, forKey: .uid)
        try container.encode(failureMode, forKey: .failureMode)
        try container.encode(captureMode, forKey: .captureMode)
        try container.encode(killExisting, forKey: .killExisting)
        try container.encode(force, forKey: .force)
        try scope.encode(to: encoder)
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case name, namespace, serviceAccount, labels, netns, pid, unit, cgroup, uid, failureMode, captureMode
        case killExisting, force
    }
}

extension AttachRequest: StrictMessage {
    package static var memberNames: [String] {
        CodingKeys.allCases.map(\.rawValue) + CaptureScope.CodingKeys.allCases.map(\.rawValue)
    }
}

/// `POST /v1/workloads/declared`: what `trammel attach --declared` sends. It is attached in the way that the Workload resource
/// has it that asks for it: for drop-ins of units and hooks of pods, which know nothing of names and labels.
///
/// Exactly one of `netns`, `unit`, `cgroup` and `uid` says what is meant, as in `AttachRequest`.
package struct DeclaredTarget: Codable, Hashable, Sendable {
    package var netns: String?
    package var unit: String?
    package var cgroup: String?
    package var uid: String?

    package init(netns: String? = nil, unit: String? = nil, cgroup: String? = nil, uid: String? = nil) {
        self.netns = netns
        self.unit = unit
        self.cgroup = cgroup
        self.uid = uid
    }

    /// An attach of the same, by a name that says nothing.
    package var request: AttachRequest {
        AttachRequest(name: "declared", netns: netns, unit: unit, cgroup: cgroup, uid: uid)
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case netns, unit, cgroup, uid
    }
}

extension DeclaredTarget: StrictMessage {
    package static var memberNames: [String] { CodingKeys.allCases.map(\.rawValue) }
}

/// What became of an attach. When it is answered, the workload's next connection is captured.
package struct AttachResult: Codable, Hashable, Sendable {
    package enum Outcome: String, Codable, Hashable, Sendable {
        case attached, unchanged
        /// It was attached, to a cgroup that has been made anew since, as a unit's is at each start.
        case refreshed
    }

    package var outcome: Outcome
    package var workload: AttachedWorkload
    package var warnings: [String]

    package init(outcome: Outcome, workload: AttachedWorkload, warnings: [String] = []) {
        self.outcome = outcome
        self.workload = workload
        self.warnings = warnings
    }
}

/// What became of a detach. When it is answered, the workload's next connection is not captured, and where none was
/// under way nothing of the agent's is left in its namespace.
package struct DetachResult: Codable, Hashable, Sendable {
    package var namespace: String
    package var name: String
    /// How many live to their end through the agent; what is left of it goes with the last.
    package var connections: Int
    package var warnings: [String]

    package init(namespace: String, name: String, connections: Int = 0, warnings: [String] = []) {
        self.namespace = namespace
        self.name = name
        self.connections = connections
        self.warnings = warnings
    }
}

/// One of `GET /v1/workloads`, ordered by namespace and name.
package struct AttachedWorkload: Codable, Hashable, Sendable {
    package enum State: String, Codable, Hashable, Sendable {
        /// Its traffic is captured.
        case attached
        /// It should be captured and is not, or not wholly; `reason` says why.
        case degraded
        /// Its target is not there (yet): a unit that does not run, what a Workload resource asks for. It will be captured
        /// when it is.
        case waiting
        /// Its traffic goes past the agent, on purpose; `reason` says at whose word.
        case bypassed
        /// Detached; what it has under way through the agent lives to its end.
        case draining
    }

    /// Others had changed what is Trammel's in its network namespace, and it was put back.
    package struct Repair: Codable, Hashable, Sendable {
        package var at: Timestamp
        /// What was not as it should be, one sentence each.
        package var drift: [String]
        /// The last program that changed the rules, where the kernel tells.
        package var by: String?
        /// Of all repairs since it was attached.
        package var count: Int

        package init(at: Timestamp, drift: [String], by: String? = nil, count: Int) {
            self.at = at
            self.drift = drift
            self.by = by
            self.count = count
        }
    }

    package var namespace: String
    package var name: String
    package var serviceAccount: String
    package var labels: [String: String]
    /// What was attached, as it was given: `netns reviews-v1`, `pid 4711`.
    package var target: String
    package var state: State
    package var reason: String?
    /// `redirect` or `tproxy`.
    package var captureMode: String
    /// Why `auto` chose it; nil where it was asked for.
    package var captureReason: String?
    package var failureMode: String
    package var addresses: [String]
    /// Open connections, either way.
    package var connections: Int
    /// Connections that are older than the attachment, and so not captured.
    package var uncaptured: Int
    /// The limits that held something of it back in the last minute, a sentence each; nil where there is none.
    package var limited: [String]?
    package var attachedAt: Timestamp
    package var lastRepair: Repair?

    package init(
        namespace: String, name: String, serviceAccount: String, labels: [String: String], target: String,
        state: State = .attached, reason: String? = nil, captureMode: String, captureReason: String? = nil,
        failureMode: String, addresses: [String], connections: Int = 0, uncaptured: Int = 0,
        limited: [String]? = nil, attachedAt: Timestamp,
        lastRepair: Repair? = nil
    ) {
        self.namespace = namespace
        self.name = name
        self.serviceAccount = serviceAccount
        self.labels = labels
        self.target = target
        self.state = state
        self.reason = reason
        self.captureMode = captureMode
        self.captureReason = captureReason
        self.failureMode = failureMode
        self.addresses = addresses
        self.connections = connections
        self.uncaptured = uncaptured
        self.limited = limited
        self.attachedAt = attachedAt
        self.lastRepair = lastRepair
    }
}
