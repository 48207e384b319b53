import Glibc
import Logging
import TrammelCapture
import TrammelCore
import TrammelProxy

/// Tells what `CaptureWatch` does, and follows what it finds.
extension Mesh {
    func take(_ report: CaptureReport) async {
        let concerned = attachments.values.filter { attachment in
            report.workload == CaptureWatch.host ? attachment.host != nil : attachment.id == report.workload
        }
        guard !concerned.isEmpty else { return ledger.forget(report.workload) }
        let name = report.workload == CaptureWatch.host ? "the host" : concerned.map { "\($0.name)" }.joined()
        let log = logger.about(concerned.map(\.name))
        switch report.event {
        case .repaired(let repair): tell(repair, of: report.workload, name, in: log)
        case .failed(let drift, let error):
            ledger.noteFailure()
            let text = "\(sentence(drift)); it cannot be put back: \(error)"
            if ledger.note(trouble: text, of: report.workload, at: .now()) { log.error("\(name): \(text)") }
        case .recovered:
            if ledger.settle(report.workload) { log.notice("\(name): its capture is as it should be again") }
        case .changed(let facts):
            // Nothing in it throws.
            try? await changes.run { await self.follow(facts, of: concerned.map(\.name)) }
        }
    }

    private func tell(_ repair: CaptureReport.Repair, of workload: WorkloadID, _ name: String, in log: Logger) {
        ledger.note(repair, of: workload, at: .now())
        let author = repair.author.map { ", by \($0)" } ?? ""
        guard repair.isContested else {
            _ = ledger.settle(workload)
            return log.warning("\(name): found changed\(author), and put back: \(sentence(repair.drift))")
        }
        let text =
            "another tool changes its rules again and again\(author): put back \(repair.count) times in a row, last: "
            + sentence(repair.drift)
        if ledger.note(trouble: text, of: workload, at: .now()) { log.warning("\(name): \(text)") }
    }

    /// A few of them in a line.
    private func sentence(_ drift: [String]) -> String {
        drift.prefix(3).joined(separator: "; ") + (drift.count > 3 ? "; and \(drift.count - 3) more" : "")
    }

    /// Endpoints, listeners and direct hits follow a workload's addresses and families.
    func follow(_ facts: NamespaceFacts, of names: [WorkloadName]) async {
        var hasChanged = false
        for name in names {
            guard var attachment = attachments[name], attachment.namespaceFacts != facts else { continue }
            let before = attachment.namespaceFacts
            attachment.namespaceFacts = facts
            if before.addresses != facts.addresses {
                attachment.workload.take(addresses: facts.addresses)
                hasChanged = true
                let list = facts.addresses.map(\.description).joined(separator: ", ")
                logger.about(name).notice("\(name): its addresses are \(list.isEmpty ? "none" : list) now")
            }
            attachments[name] = attachment
            if facts.hasIPv6, !before.hasIPv6 || !attachment.opened.facts.hasIPv6 { await serveIPv6(attachment) }
            ports[attachment.id] = look(at: attachment)
        }
        if hasChanged { await publish() }
    }

    /// Listeners first, then the routing that leads to them.
    private func serveIPv6(_ attachment: Attachment) async {
        do {
            guard let opened = try capture.openListeners(of: attachment.id, .v6) else { return }
            let names: DNSListeners
            let datagrams: DatagramListeners
            do {
                datagrams = try DatagramListeners(opened.datagrams, of: attachment.id, through: capture)
                names = try DNSListeners(opened.dns, of: attachment.id, through: capture)
            } catch {
                for listener in opened.streams { close(listener.socket) }
                throw error
            }
            try await dataPlane?.listen(
                on: opened.streams.map(CaptureListener.init), dns: names, datagrams: datagrams,
                for: attachment.workload)
            capture.serve(.v6, of: attachment.id)
            logger.about(attachment.name).notice("\(attachment.name): IPv6 is there now, and captured")
        } catch {
            logger.about(attachment.name).error(
                "\(attachment.name): IPv6 is there now, and cannot be captured: \(error)")
        }
    }

    // MARK: The end of the agent

    /// Before listeners close: what is to fail open goes where it is going from here on, and not to nobody.
    func letPastWhatFailsOpen() {
        for attachment in attachments.values where attachment.request.failureMode == .open {
            do {
                try capture.letPast(attachment.id)
            } catch {
                logger.about(attachment.name).warning(
                    "\(attachment.name) cannot be let past the agent that ends: \(error)")
            }
        }
    }

    /// After the last connection has ended: nothing is left of what goes with the agent.
    func leaveWhatFailsOpen() {
        for attachment in attachments.values where attachment.request.failureMode == .open {
            try? capture.uninstall(attachment.id)
        }
    }
}
