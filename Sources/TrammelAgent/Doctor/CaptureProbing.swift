import TrammelCapture
import TrammelControlAPI
import TrammelCore
import TrammelProxy

/// Has a child process, outside the agent's exemption, connect from a workload and to it, and sees that the agent is
/// whom it reaches: rules that look right are no proof that the kernel delivers.
struct CaptureProbing: Sendable {
    let capture: WorkloadCapture
    let pending: PendingProbes

    func checks(of attachment: Attachment) async -> [DoctorCheck] {
        let name = "\(attachment.name)"
        guard capture.plan(of: attachment.id)?.phase == .capturing else {
            return [DoctorCheck("probe", name, .skipped, "its traffic is let past the agent")]
        }
        var checks: [DoctorCheck] = []
        for family in attachment.opened.facts.hasIPv6 ? [IPAddress.Family.v4, .v6] : [.v4] {
            let word = family == .v4 ? "IPv4" : "IPv6"
            if let host = attachment.host {
                checks.append(
                    DoctorCheck(
                        "outbound probe, \(word)", name, .skipped,
                        "only its own processes are \(host.text), and none is sent among them"))
            } else if family == .v6, !attachment.namespaceFacts.addresses.contains(where: { $0.family == .v6 }) {
                checks.append(
                    DoctorCheck(
                        "outbound probe, \(word)", name, .skipped,
                        "it has no IPv6 address, and with none the kernel lets nothing out that could be captured"))
            } else if let target = capture.outboundProbeTarget(of: attachment.id, family) {
                checks.append(
                    await probe(attachment, .outbound, from: attachment.id, to: target, "outbound probe, \(word)"))
            } else {
                checks.append(
                    DoctorCheck(
                        "outbound probe, \(word)", name, .skipped,
                        "its settings capture no address that is sure to be nobody's"))
            }
            guard let own = attachment.opened.facts.addresses.first(where: { $0.family == family }) else { continue }
            let any: IPAddress = family == .v4 ? .anyV4 : .anyV6
            guard let target = capture.inboundProbeTarget(of: attachment.id, own, from: any) else { continue }
            checks.append(await probe(attachment, .inbound, from: nil, to: target, "inbound probe, \(word)"))
        }
        return checks
    }

    /// - Parameter from: in whose namespace the child is; nil for the agent's own.
    @concurrent private func probe(
        _ attachment: Attachment, _ direction: TrafficDirection, from: WorkloadID?, to target: IPEndpoint,
        _ what: String
    ) async -> DoctorCheck {
        let name = "\(attachment.name)"
        let child: CaptureProbe
        do {
            child = try capture.probe(inside: from, target.address.family)
        } catch {
            return DoctorCheck(what, name, .skipped, "no child process could be sent: \(error)")
        }
        let expected = PendingProbes.Probe(
            workload: attachment.id, direction: direction, port: child.port, target: target)
        pending.expect(expected)
        defer { pending.forget(expected) }
        return Self.verdict(what, name, child.connect(to: target), target, direction)
    }

    static func verdict(
        _ what: String, _ workload: String, _ outcome: CaptureProbe.Outcome, _ target: IPEndpoint,
        _ direction: TrafficDirection
    ) -> DoctorCheck {
        switch outcome {
        case .arrived:
            return DoctorCheck(what, workload, .ok, "a connection to \(target) arrived at the agent")
        case .answeredByAnother:
            return DoctorCheck(
                what, workload, .failure, "a connection to \(target) was answered by somebody else",
                meaning: "What should be captured goes past the agent.",
                advice: "see `trammel rules \(workload)`, and who listens: ss -ltnp")
        case .failed(let why) where direction == .inbound && why.contains("unreachable"):
            return DoctorCheck(
                what, workload, .skipped, "\(target) cannot be reached from the agent's own namespace: \(why)")
        case .failed(let why):
            return DoctorCheck(
                what, workload, .failure, "a connection to \(target) did not arrive at the agent: \(why)",
                meaning: "What should be captured is lost, or goes past the agent.",
                advice: "see `trammel rules \(workload)`, and other tables that may refuse it: nft list ruleset")
        }
    }
}
