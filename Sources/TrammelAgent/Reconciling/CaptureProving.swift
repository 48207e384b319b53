import Glibc
import Logging
import TrammelCapture
import TrammelCore
import TrammelProxy

/// Sees that what workloads say comes to the agent: rules that look right are no proof that the kernel delivers, since
/// another table may take a packet before them. One connection is made from each workload; a workload of which none arrives
/// is degraded until one does.
///
/// What is taken up at start is looked at before the agent says that it is ready, all at once; after that, those of which
/// none has arrived.
struct CaptureProving: Sendable {
    let mesh: Mesh
    let capture: WorkloadCapture
    let pending: PendingProbes
    let logger: Logger

    /// For as long as the agent runs.
    func run() async {
        while (try? await Task.sleep(for: Self.pause)) != nil {
            let unproven = mesh.ledger.unproven
            if !unproven.isEmpty { await prove(Set(unproven)) }
        }
    }

    /// All that are attached.
    func proveAll() async { await prove(Set(await mesh.attachments.values.map(\.id))) }

    private func prove(_ workloads: Set<WorkloadID>) async {
        let found: [WorkloadID: String?]
        let began = MonotonicTime.now()
        do {
            found = try await OwnThread.result("trammel-probe") { try self.look(at: workloads) }
        } catch let error as TrammelError where error.code == "probe-nobody" {
            found = [:]
        } catch {
            return logger.warning("whether workloads are captured could not be tried: \(error)")
        }
        let took = MonotonicTime.now().nanoseconds(since: began) / 1_000_000
        logger.debug("one connection each from \(found.count) workloads was tried in \(took) ms")
        for attachment in await mesh.attachments.values where workloads.contains(attachment.id) {
            // One that cannot be tried any more is not held to what was found before.
            let reason = found[attachment.id] ?? nil
            guard mesh.ledger.note(unproven: reason, of: attachment.id) else { continue }
            let log = logger.about(attachment.name)
            if let reason {
                log.error("\(attachment.name) is not captured as it should be: \(reason)")
            } else {
                log.notice("\(attachment.name): connections of it arrive at the agent again")
            }
        }
    }

    /// - Returns: of each that could be tried, why it is not captured, or nil.
    private func look(at workloads: Set<WorkloadID>) throws -> [WorkloadID: String?] {
        var attempts = try capture.attempts(from: Array(workloads))
        let probes = attempts.calls.map { call in
            PendingProbes.Probe(
                workload: call.workload, direction: .outbound, port: call.source.port, target: call.target)
        }
        for probe in probes { pending.expect(probe) }
        attempts.connect(milliseconds: Self.patience)
        var found: [WorkloadID: String?] = [:]
        for (call, probe) in zip(attempts.calls, probes) {
            let hasArrived =
                call.failure == 0
                && (pending.hasArrived(probe) || ((try? attempts.hasArrived(call)) ?? true)
                    || pending.hasArrived(probe))
            if let reason = Self.reason(call.target, call.failure, call.words, hasArrived: hasArrived) {
                found[call.workload] = reason
            } else if found[call.workload] == nil {
                found.updateValue(nil, forKey: call.workload)
            }
        }
        // Connections that wait are accepted later, and have to be known then.
        Task {
            try? await Task.sleep(for: Self.memory)
            for probe in probes { pending.forget(probe) }
        }
        return found
    }

    /// Why a workload is not captured, by what became of a connection of it; nil where it is, or where there is no telling.
    static func reason(_ target: IPEndpoint, _ failure: CInt, _ words: String, hasArrived: Bool) -> String? {
        switch failure {
        case 0 where hasArrived: nil
        case 0:
            "a connection to \(target) was answered by somebody else than the agent; see `trammel rules`, who listens (ss -ltnp), "
                + "and what other tables do (nft list ruleset)"
        // Without an address, or a route, nothing leaves that could be captured.
        case ENETUNREACH, EADDRNOTAVAIL: nil
        case ECHILD: nil
        default:
            "a connection to \(target) did not arrive at the agent (\(words)); see what other "
                + "tables do with it (nft list ruleset)"
        }
    }

    /// Milliseconds for all connections together, of which each takes far less than one.
    private static let patience: Int32 = 500
    private static let pause = Duration.seconds(2)
    /// Longer than connections wait before they are accepted.
    private static let memory = Duration.seconds(30)
}
