import Glibc
import Synchronization
import TrammelCapture
import TrammelCore
import TrammelProxy
import TrammelTelemetry
import TrammelWire

/// The agent's own metrics beyond those that each part counts for itself. They are read from the parts at each scrape.
final class AgentNumbers: Sendable {
    private let workloads: AgentGauge
    private let configuration: AgentGauge
    private let ready: AgentGauge
    private let notReady: AgentGauge
    private let outbound: AgentGauge
    private let inbound: AgentGauge
    private let conntrackEntries: AgentGauge
    private let conntrackLimit: AgentGauge
    private let accepted: AgentCounter
    private let rejected: AgentCounter
    private let files: AgentGauge
    private let fileErrors: AgentGauge
    private let refusals = Mutex<[AcceptRefusal: UInt64]>([:])
    private let violations = Mutex<[HTTP1Violation: UInt64]>([:])
    private let limited = Mutex<[WorkloadLimit: UInt64]>([:])
    private let shed = Mutex<UInt64>(0)
    private let pooled: AgentGauge
    private let draining: AgentGauge
    private let queues: [DataPathQueue: QueueDepth]
    private let portConflicts = Mutex<[SourcePortConflict: UInt64]>([:])

    init(_ metrics: AgentMetrics) {
        metrics.gauge(
            "trammel_build_info", help: "Always 1; the labels say what runs.",
            labels: [("version", Build.version), ("build", Build.configuration)]
        ).set(1)
        workloads = metrics.gauge("trammel_workloads", help: "Workloads attached.")
        configuration = metrics.gauge(
            "trammel_configuration_version", help: "The number of the configuration in force; it grows by changes.")
        let endpoints = "Endpoints of services, by whether the application listens."
        ready = metrics.gauge("trammel_endpoints", help: endpoints, labels: [("state", "ready")])
        notReady = metrics.gauge("trammel_endpoints", help: endpoints, labels: [("state", "not_ready")])
        let connections = "Captured connections that are open."
        outbound = metrics.gauge("trammel_connections", help: connections, labels: [("direction", "outbound")])
        inbound = metrics.gauge("trammel_connections", help: connections, labels: [("direction", "inbound")])
        draining = metrics.gauge(
            "trammel_workloads_draining", help: "Workloads that are detached and have connections under way.")
        queues = Dictionary(
            uniqueKeysWithValues: DataPathQueue.allCases.map { ($0, QueueDepth(limit: $0.limit)) })
        for (queue, depth) in queues { metrics.queue(queue.rawValue, depth) }
        pooled = metrics.gauge(
            "trammel_upstream_idle_connections", help: "Connections to upstreams that wait for another request.")
        conntrackEntries = metrics.gauge(
            "trammel_conntrack_entries", help: "Conntrack entries of the attached workload that has most.")
        conntrackLimit = metrics.gauge(
            "trammel_conntrack_limit", help: "Conntrack entries that the kernel allows one network namespace.")
        let applies = "Applies and deletes of resources, by what became of them."
        accepted = metrics.counter("trammel_applies_total", help: applies, labels: [("outcome", "accepted")])
        rejected = metrics.counter("trammel_applies_total", help: applies, labels: [("outcome", "rejected")])
        files = metrics.gauge("trammel_config_files", help: "Files of the configuration directory.")
        fileErrors = metrics.gauge(
            "trammel_config_file_errors",
            help: "Files of the configuration directory whose newest version is not in force; its last good one is.")
        for reason in AcceptRefusal.allCases {
            metrics.counter(
                "trammel_connections_refused_total",
                help: "Captured connections that were refused when they were accepted, by reason.",
                labels: [("reason", reason.rawValue)]
            ) { [self] in refusals.withLock { $0[reason] ?? 0 } }
        }
        for violation in HTTP1Violation.allCases {
            metrics.counter(
                "trammel_requests_refused_total", help: "Requests that broke HTTP/1.1, by how they did.",
                labels: [("reason", violation.rawValue)]
            ) { [self] in violations.withLock { $0[violation] ?? 0 } }
        }
        for limit in [WorkloadLimit.requests, .descriptors, .memory] {
            metrics.counter(
                "trammel_requests_limited_total",
                help: "Requests that were answered 503 for a limit of their workload's, by limit.",
                labels: [("limit", limit.rawValue)]
            ) { [self] in limited.withLock { $0[limit] ?? 0 } }
        }
        metrics.counter(
            "trammel_connections_shed_total", help: "Idle connections that were closed for want of memory."
        ) { [self] in shed.withLock { $0 } }
        for outcome in SourcePortConflict.allCases {
            metrics.counter(
                "trammel_source_port_conflicts_total",
                help:
                    "Connections to applications, the client's address kept, whose first port was taken, by what came "
                    + "next: another port, one that clients may have too (shared), or failure (none).",
                labels: [("next", outcome.rawValue)]
            ) { [self] in portConflicts.withLock { $0[outcome] ?? 0 } }
        }
        metrics.gauge("process_open_fds", help: "File descriptors that are open.") {
            Double(AgentProcess.openDescriptors)
        }
        metrics.gauge("process_max_fds", help: "File descriptors that may be open.") {
            Double(AgentProcess.maxDescriptors)
        }
        metrics.gauge("process_resident_memory_bytes", help: "Memory that the process holds.") {
            Double(AgentProcess.residentBytes)
        }
    }

    func applied(_ wasAccepted: Bool) { (wasAccepted ? accepted : rejected).add() }

    /// Brings the numbers up to date; called before each scrape.
    func read(_ mesh: Mesh, _ dataPlane: DataPlane) async {
        let attachments = await mesh.attachments
        let snapshot = await mesh.snapshot
        workloads.set(Int64(attachments.count))
        configuration.set(Int64(clamping: snapshot.version))
        let directory = await mesh.directory
        files.set(Int64(directory.files.count))
        fileErrors.set(Int64(directory.faultCount))
        let clusters = snapshot.servicePorts.map(\.defaultCluster)
        notReady.set(Int64(clusters.reduce(0) { $0 + $1.notReady.count }))
        ready.set(Int64(clusters.reduce(0) { $0 + $1.selectedCount - $1.notReady.count }))
        let open = await dataPlane.openConnections()
        outbound.set(Int64(open.outbound))
        inbound.set(Int64(open.inbound))
        let refused = await dataPlane.refusals()
        refusals.withLock { $0 = refused }
        let broken = await dataPlane.violations()
        violations.withLock { $0 = broken }
        let beyond = await dataPlane.limitedRequests()
        limited.withLock { $0 = beyond }
        let idleness = await dataPlane.idleness()
        shed.withLock { $0 = idleness.shed }
        pooled.set(Int64(idleness.pooled))
        draining.set(Int64(await mesh.draining.count))
        for (queue, length) in await dataPlane.queues() { queues[queue]?.set(length) }
        let conflicts = await dataPlane.portConflicts()
        portConflicts.withLock { $0 = conflicts }
        let usages = attachments.values.compactMap { try? mesh.capture.conntrack.usage(of: $0.id) }
        conntrackEntries.set(Int64(usages.map(\.count).max() ?? 0))
        conntrackLimit.set(Int64(usages.map(\.limit).max() ?? 0))
    }
}

/// What the kernel tells of this process.
enum AgentProcess {
    static var openDescriptors: Int {
        // It takes one to count them.
        guard let directory = opendir("/proc/self/fd") else { return errno == EMFILE ? Int(maxDescriptors) : 0 }
        defer { closedir(directory) }
        var count = 0
        while readdir(directory) != nil { count += 1 }
        // The two dots, and the one that this reads by.
        return max(0, count - 3)
    }

    static var maxDescriptors: UInt {
        var limit = rlimit()
        return getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 ? limit.rlim_cur : 0
    }

    static var residentBytes: Int {
        guard let file = fopen("/proc/self/statm", "re") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        guard fgets(&line, CInt(line.count), file) != nil else { return 0 }
        let words = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            .split(separator: " ")
        return words.count > 1 ? (Int(words[1]) ?? 0) * Int(getpagesize()) : 0
    }
}
