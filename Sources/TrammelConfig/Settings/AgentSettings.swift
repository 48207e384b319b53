package import TrammelCore

/// `trammeld.yaml`: how one agent runs. Every setting has a default, so that plain `trammeld` works.
///
/// What belongs to the mesh as a whole (routes, policies) is a resource, not a setting.
package struct AgentSettings: Sendable, Equatable {
    /// The node's name; nil stands for the host's.
    package var node: String?
    /// The Unix socket of the API. The lock and the hand-over socket lie beside it.
    package var socket = "/run/trammel/trammel.sock"
    package var stateDirectory = "/var/lib/trammel"
    /// Resources as files, watched.
    package var configDirectory = "/etc/trammel/conf.d"
    /// While this file is there, the traffic of all workloads goes past the agent.
    package var bypassFile = "/etc/trammel/bypass"
    /// Event loops that carry traffic, 1…1024; nil for one per core.
    package var dataLoops: Int?
    package var captureBackend = CaptureBackend.auto
    package var captureMode = CaptureModeChoice.auto
    package var ports = Ports()
    package var accessLog = AccessLog()
    package var metrics = Metrics()
    package var limits = Limits()
    package var store = Store.sqlite
    package var logLevel = LogLevel.info
    package var vips = VIPRanges()
    package var probes = Probes()
    /// The DNS servers that the names of endpoints are asked of, in their order; empty for those of /etc/resolv.conf,
    /// which is read again when it changes.
    package var resolvers: [IPEndpoint] = []

    package enum CaptureBackend: String, Sendable, CaseIterable { case auto, nftables, iptables }

    /// How outbound connections are captured. `auto` takes the fastest way that works on the node.
    package enum CaptureModeChoice: String, Sendable, CaseIterable {
        case auto, redirect, tproxy

        /// Nil for `auto`.
        package var mode: CaptureMode? { CaptureMode(rawValue: rawValue) }
    }

    /// Listening ports; Istio's numbers, so that people's firewalls and runbooks still fit.
    package struct Ports: Sendable, Equatable {
        package var outbound: UInt16 = 15001
        package var inbound: UInt16 = 15006
        package var hbone: UInt16 = 15008
        package var dns: UInt16 = 15053
        package var metrics: UInt16 = 15020

        package init() {}
    }

    package struct AccessLog: Sendable, Equatable {
        /// Nil: `access.log` in `$LOGS_DIRECTORY`, which systemd sets, and standard output when run by hand. `-` is standard
        /// output, `none` is no log.
        package var path: String?
        package var format = Format.json
        /// Of the JSON object only these keys, in this order; nil for all.
        package var fields: [String]?

        package enum Format: Sendable, Equatable {
            case json
            /// Istio's default line of text.
            case text
            /// Envoy's command operators: `%START_TIME% %RESPONSE_CODE%`.
            case pattern(String)
            /// A JSON object whose values are made of such operators: Envoy's `json_format`.
            case object([Member])
        }

        package struct Member: Sendable, Equatable {
            package let key: String
            package let value: Value

            package init(key: String, value: Value) {
                self.key = key
                self.value = value
            }
        }

        package indirect enum Value: Sendable, Equatable {
            case pattern(String)
            /// A number, boolean or null, as JSON has it.
            case json(String)
            case object([Member])
            case list([Value])
        }

        package init() {}
    }

    package struct Metrics: Sendable, Equatable {
        /// The address that Prometheus scrapes; its port is `ports.metrics`.
        package var address = IPAddress.loopbackV4
        /// What the labels `source_cluster` and `destination_cluster` say of workloads that are known: Istio's own default.
        package var cluster = "Kubernetes"
        /// Nanoseconds that the series of a workload are kept after its detach, 1 s…7 days.
        package var keepDetached: UInt64 = 900_000_000_000

        package init() {}
    }

    /// What one connection, and one workload, may take.
    package struct Limits: Sendable, Equatable {
        /// Bytes of a request's or response's head, 1 KiB…1 MiB.
        package var maxHeadBytes = 65_536
        /// Header fields of one message, 10…10,000.
        package var maxHeaderCount = 128
        /// Nanoseconds in which a request's head must be complete.
        package var headTimeout: UInt64 = 60_000_000_000
        /// Nanoseconds without a byte either way after which a connection is closed.
        package var idleTimeout: UInt64 = 3_600_000_000_000
        /// Open connections of one workload, both directions.
        package var connectionsPerWorkload = 16_384
        /// Connections of one workload that are taken up in a second over the long run.
        package var connectionRatePerWorkload = 20_000
        /// Connections of one workload that are taken up at once before that rate is kept to.
        package var connectionBurstPerWorkload = 20_000
        /// HTTP requests of one workload that are under way to an upstream.
        package var requestsPerWorkload = 16_384
        /// Sockets of one workload's connections, flows of UDP and DNS queries, those onward included; nil: nine tenths of what
        /// the agent may open.
        package var descriptorsPerWorkload: Int?
        /// Bytes that wait in the agent on behalf of one workload; nil: a quarter of `memory`.
        package var memoryPerWorkload: Int?
        /// Bytes that the agent may hold; nil: what its cgroup may, or half of the machine's.
        package var memory: Int?
        /// Nanoseconds of silence after which a flow of UDP that the agent carries ends; a quarter of it while nothing was
        /// answered.
        package var udpIdleTimeout: UInt64 = 120_000_000_000
        /// Flows of UDP of one workload that the agent carries at the same time.
        package var udpFlowsPerWorkload = 4_096
        /// Nanoseconds that connections are given to end when the agent stops.
        package var drainTimeout: UInt64 = 30_000_000_000
        /// Nanoseconds that an agent which has made room for another carries on what cannot be moved to that one.
        package var upgradeTimeout: UInt64 = 600_000_000_000
        /// Percent of a conntrack table in use at which to warn, 1…100.
        package var conntrackWarning = 80

        package init() {}
    }

    /// Health probers of the node itself, such as a kubelet. Their connections to workloads pass on as they are.
    package struct Probes: Sendable, Equatable {
        /// Of the v2 hierarchy: `/system.slice/kubelet.service`. Those below belong to it.
        package var cgroups: [String] = []

        package init() {}
    }

    package enum Store: Sendable, Equatable {
        /// A database in the state directory.
        case sqlite
    }

    /// The levels of swift-log.
    package enum LogLevel: String, Sendable, CaseIterable {
        case trace, debug, info, notice, warning, error, critical
    }

    /// Where services without an address of their own get one. Nothing on the Internet is reached under the defaults:
    /// 240.0.0.0/4 is reserved (RFC 1112), 2001:2::/48 is for benchmarking (RFC 5180).
    package struct VIPRanges: Sendable, Equatable {
        package var ipv4: CIDR
        package var ipv6: CIDR

        package init() {
            // Literals; a test holds them.
            ipv4 = CIDR(IPAddress(v4: 0xF0F0_0000), prefixLength: 16)!
            ipv6 = CIDR(IPAddress(v6: 0x2001_0002_0000_0000, 0), prefixLength: 48)!
        }

        package init(ipv4: CIDR, ipv6: CIDR) {
            self.ipv4 = ipv4
            self.ipv6 = ipv6
        }
    }

    package init() {}
}
