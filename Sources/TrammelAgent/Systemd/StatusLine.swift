import TrammelProxy

/// Keeps the line up to date that `systemctl status` shows of the agent.
struct StatusLine: Sendable {
    let mesh: Mesh
    let dataPlane: DataPlane

    /// Until the task is cancelled.
    func run() async {
        var told = ""
        repeat {
            let text = await text()
            guard text != told else { continue }
            ServiceNotification.status(text)
            told = text
        } while (try? await Task.sleep(for: StatusLine.interval)) != nil
    }

    private func text() async -> String {
        let (attached, failures) = await (
            mesh.attachments.count, mesh.failures.count + mesh.ledger.unproven.count
        )
        let open = await dataPlane.openConnections()
        return StatusLine.text(
            workloads: attached, degraded: failures, connections: open.outbound + open.inbound,
            bypass: mesh.bypass.alarm)
    }

    static func text(workloads: Int, degraded: Int, connections: Int, bypass: String?) -> String {
        func count(_ number: Int, _ what: String) -> String { "\(number) \(what)\(number == 1 ? "" : "s")" }
        var parts = [count(workloads, "workload"), count(connections, "connection")]
        if degraded > 0 { parts.insert("\(degraded) degraded", at: 1) }
        if let bypass { parts.append(bypass) }
        return parts.joined(separator: ", ")
    }

    private static let interval = Duration.seconds(2)
}
