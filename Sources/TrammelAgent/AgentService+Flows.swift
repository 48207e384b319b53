import TrammelCapture
import TrammelControlAPI
import TrammelCore

/// What goes past the agent.
extension AgentService {
    func flows(workload: String?) async throws -> [UncapturedFlow] {
        let names = Dictionary(await mesh.attachments.values.map { ($0.id, "\($0.name)") }) { first, _ in first }
        let now = WallTime.now()
        return await instruments.flows().compactMap { flow in
            guard let name = names[flow.workload], workload == nil || workload == name else { return nil }
            return UncapturedFlow(flow, of: name, at: now)
        }
    }

    func endFlow(id: UInt64) async throws {
        guard try mesh.capture.flows.end(passed: id) else {
            throw TrammelError(
                .notFound, code: "flow-unknown", "there is no flow \(id)",
                hint: "`trammel connections --passed` lists them")
        }
    }
}

extension UncapturedFlow {
    fileprivate init(_ flow: PassedFlow, of workload: String, at now: WallTime) {
        let hasPackets = flow.sent.packets > 0
        self.init(
            id: flow.number, workload: workload, protocol: flow.kind.transport.rawValue,
            direction: flow.kind.direction == .outbound ? .outbound : .inbound, reason: flow.kind.reason.rawValue,
            source: "\(flow.source)", destination: "\(flow.destination)", bytesSent: flow.sent.bytes,
            bytesReceived: flow.received.bytes, packetsSent: hasPackets ? flow.sent.packets : nil,
            packetsReceived: hasPackets ? flow.received.packets : nil,
            ageSeconds: max(0, Double(now.nanoseconds - flow.since.nanoseconds) / 1e9))
    }
}
