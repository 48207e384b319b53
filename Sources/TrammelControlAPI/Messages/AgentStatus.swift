/// `GET /v1/version`.
package struct AgentVersion: Codable, Hashable, Sendable {
    package var version: String
    /// The commit it was built from, where known.
    package var commit: String?
    /// `debug` or `release`.
    package var build: String
    /// The Swift compiler's version.
    package var compiler: String?

    package init(version: String, commit: String? = nil, build: String, compiler: String? = nil) {
        self.version = version
        self.commit = commit
        self.build = build
        self.compiler = compiler
    }
}

/// `GET /readyz` and `/healthz/ready`: 200 when ready, else 503 with the reason.
package struct Readiness: Codable, Hashable, Sendable {
    package var ready: Bool
    package var reason: String?

    package init(ready: Bool, reason: String? = nil) {
        self.ready = ready
        self.reason = reason
    }
}

/// `GET /v1/status`: the state of the agent at a glance.
package struct AgentStatus: Codable, Hashable, Sendable {
    package var version: String
    package var node: String
    package var pid: Int32
    package var startedAt: Timestamp
    package var state: State
    /// Why it is not `running`; nil when it is.
    package var reason: String?
    package var dataLoops: Int
    package var capture: Capture
    package var workloads: Workloads
    /// How many stored resources there are, by kind.
    package var resources: [String: Int]
    /// The number of the configuration that the data path runs now; it grows with every change.
    package var configuration: UInt64
    package var connections: Connections
    package var memory: Memory?
    /// What is not as it should be, each with what to do about it: invalid files, drift, a bypass, limits near.
    package var warnings: [String]

    package enum State: String, Codable, Hashable, Sendable {
        case starting, running, degraded, draining
    }

    /// How traffic is captured, and why so.
    package struct Capture: Codable, Hashable, Sendable {
        /// `nftables` or `iptables`.
        package var backend: String
        /// What `trammeld.yaml` or the default asks for: `auto`, `redirect` or `tproxy`.
        package var mode: String
        /// Why `auto` chose as it did.
        package var reason: String?

        package init(backend: String, mode: String, reason: String? = nil) {
            self.backend = backend
            self.mode = mode
            self.reason = reason
        }
    }

    package struct Workloads: Codable, Hashable, Sendable {
        package var attached: Int
        package var degraded: Int

        package init(attached: Int, degraded: Int = 0) {
            self.attached = attached
            self.degraded = degraded
        }
    }

    package struct Connections: Codable, Hashable, Sendable {
        /// Open now.
        package var open: Int
        /// Since the start.
        package var total: UInt64
        /// Refused because their destination could not be known, since the start.
        package var unknownDestination: UInt64

        package init(open: Int, total: UInt64, unknownDestination: UInt64 = 0) {
            self.open = open
            self.total = total
            self.unknownDestination = unknownDestination
        }
    }

    /// What the agent itself holds.
    package struct Memory: Codable, Hashable, Sendable {
        /// Bytes.
        package var resident: Int
        /// Bytes that it may hold: `limits.memory`.
        package var limit: Int
        /// What it does without: `none`, `shrink` (buffers are kept small), `close_idle` (idle connections are closed),
        /// `refuse_new` (new connections are refused).
        package var step: String

        package init(resident: Int, limit: Int, step: String = "none") {
            self.resident = resident
            self.limit = limit
            self.step = step
        }
    }

    package init(
        version: String, node: String, pid: Int32, startedAt: Timestamp, state: State, reason: String? = nil,
        dataLoops: Int, capture: Capture, workloads: Workloads, resources: [String: Int], configuration: UInt64,
        connections: Connections, memory: Memory? = nil, warnings: [String] = []
    ) {
        self.version = version
        self.node = node
        self.pid = pid
        self.startedAt = startedAt
        self.state = state
        self.reason = reason
        self.dataLoops = dataLoops
        self.capture = capture
        self.workloads = workloads
        self.resources = resources
        self.configuration = configuration
        self.connections = connections
        self.memory = memory
        self.warnings = warnings
    }
}
