import Glibc
import TrammelCapture
import TrammelConfig
import TrammelControlAPI
import TrammelCore
import TrammelProxy
import TrammelTelemetry

/// Looks at everything that may be amiss: `trammel doctor`.
///
/// What is found comes from here; what it means is said by `DoctorChecks`, which are pure.
struct Doctor: Sendable {
    let mesh: Mesh
    let dataPlane: DataPlane
    let instruments: Instruments
    let settings: AgentSettings
    let metrics: AgentMetrics
    let started: ClockReading

    private var capture: WorkloadCapture { mesh.capture }

    /// - Parameter warnings: what the agent's status warns of.
    func examine(besides warnings: [String]) async -> DoctorReport {
        let attachments = await mesh.attachments.values.sorted { $0.name < $1.name }
        let waiting = await mesh.appearing.waiting
        let loads = Dictionary(await instruments.tables.map { ($0.workload, $0) }) { first, _ in first }
        var checks: [DoctorCheck] = [
            DoctorChecks.descriptors(open: AgentProcess.openDescriptors, limit: AgentProcess.maxDescriptors),
            DoctorChecks.descriptorLimit(
                AgentProcess.maxDescriptors, connectionsPerWorkload: settings.limits.connectionsPerWorkload),
            DoctorChecks.logDrops(metrics.total("trammel_access_log_dropped_total")),
            DoctorChecks.unknownDestinations(await instruments.unknown),
            DoctorChecks.sourcePorts(await dataPlane.portConflicts()),
            DoctorChecks.waiting(waiting.count),
        ]
        checks += DoctorChecks.disk(settings)
        // Drift is told of at length, workload by workload.
        checks += warnings.filter { !$0.contains("have drifted") }.map { DoctorCheck("status", .warning, $0) }
        checks += await onNode()
        if attachments.contains(where: { $0.host != nil }) {
            checks.append(DoctorChecks.accounting(isCounting: capture.isHostCounting))
        }
        if let node = loads[nil] { checks.append(DoctorChecks.conntrack(nil, node.load, isPressed: node.isPressed)) }
        let leaks = await instruments.recentLeaks
        let probes = CaptureProbing(capture: capture, pending: dataPlane.probes)
        for attachment in attachments {
            let name = "\(attachment.name)"
            checks += await about(attachment)
            checks.append(DoctorChecks.leaks(name, leaks.filter { $0.workload == attachment.name }.map(\.leak)))
            checks += await probes.checks(of: attachment)
        }
        // Findings first, each kind in the order it was looked for.
        let order: [DoctorCheck.State] = [.failure, .warning, .skipped, .ok]
        return DoctorReport(checks: order.flatMap { state in checks.filter { $0.state == state } })
    }

    /// Of one workload, from its namespace. Off the caller's actor, for it asks the kernel much.
    @concurrent private func about(_ attachment: Attachment) async -> [DoctorCheck] {
        let name = "\(attachment.name)"
        var checks: [DoctorCheck] = []
        do {
            let rules = try capture.rules(of: attachment.id)
            checks.append(DoctorChecks.rules(name, drift: rules.drift))
            let found = try capture.diagnosis(of: attachment.id)
            checks.append(DoctorChecks.ipv6(name, found, atAttach: attachment.opened.facts.hasIPv6))
            checks.append(DoctorChecks.reversePath(name, found))
            checks.append(DoctorChecks.firewalls(name, found.tools.legacyRules, found.tools.translatedRules))
            checks += DoctorChecks.otherTools(name, found.tools)
            checks.append(DoctorChecks.backlog(name, found.longestQueue))
            if let sizes = try capture.linkSizes(of: attachment.id) {
                checks += DoctorChecks.linkSizes(name, sizes, hasIPv6: found.hasIPv6)
            }
            checks.append(DoctorChecks.strangers(name, found.strangers))
            if let load = found.load {
                let isPressed = load.percent >= Double(settings.limits.conntrackWarning)
                checks.append(DoctorChecks.conntrack(name, load, isPressed: isPressed))
            }
        } catch let error as TrammelError where error.kind == .notFound {
            return []  // It was detached meanwhile.
        } catch {
            checks.append(
                DoctorCheck(
                    "namespace", name, .failure, "its network namespace cannot be looked at: \(error)",
                    meaning: "Nothing is known of its capture.", advice: "see the agent's log"))
        }
        checks.append(NameServices.check(name, process: capture.process(of: attachment.id), attachment.reachedBy))
        return checks
    }

    @concurrent private func onNode() async -> [DoctorCheck] {
        var checks = [DoctorChecks.leftovers(capture.leftovers().map(\.description))]
        let bridged = BridgeFilter.switchedOn
        checks.append(DoctorChecks.bridge(bridged))
        do {
            let tools = try capture.otherTools()
            checks.append(DoctorChecks.firewalls(nil, tools.legacyRules, tools.translatedRules))
            checks += DoctorChecks.otherTools(nil, tools, isBridged: !bridged.isEmpty)
        } catch {
            checks.append(DoctorCheck("other tools", .skipped, "the node's rules cannot be listed: \(error)"))
        }
        checks += DoctorChecks.limits(NodeLimits.read())
        checks += DoctorChecks.memory(
            resident: AgentProcess.residentBytes, MemoryBudget(asked: settings.limits.memory),
            MemoryBudget.kernelBounds())
        checks.append(
            DoctorChecks.clock(since: started, now: .now(), isSynchronised: ClockReading.isSynchronised()))
        checks.append(DoctorChecks.versions(NodeVersions.read()))
        checks += capture.missingAbilities().map(DoctorChecks.missing)
        if checks.allSatisfy({ $0.name != "kernel" }) {
            checks.append(
                DoctorCheck("kernel", .ok, "the kernel takes tproxy and redirect rules, and can abort sockets"))
        }
        return checks
    }
}

extension AgentService {
    func doctor() async throws -> DoctorReport {
        await instruments.lookAtTables()
        let doctor = Doctor(
            mesh: mesh, dataPlane: dataPlane, instruments: instruments, settings: settings, metrics: agentMetrics,
            started: startedAt)
        return await doctor.examine(besides: try await status().warnings)
    }
}

/// Whether bridged packets pass the node's own netfilter hooks (br_netfilter).
private enum BridgeFilter {
    /// The sysctls that are on; empty without the module.
    static var switchedOn: [String] {
        ["bridge-nf-call-iptables", "bridge-nf-call-ip6tables"].filter { name in
            guard let file = fopen("/proc/sys/net/bridge/\(name)", "re") else { return false }
            defer { fclose(file) }
            return fgetc(file) == CInt(UInt8(ascii: "1"))
        }
    }
}
