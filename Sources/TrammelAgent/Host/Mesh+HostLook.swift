import Logging
import TrammelCapture
import TrammelControlAPI
import TrammelCore

/// Workloads of the host itself that end and come back.
extension Mesh {
    /// Follows cgroups that have been made anew, notes those that are gone, and attaches what was waited for. To be called
    /// over and over, and when a cgroup comes or goes.
    func lookAtHost() async {
        let held = attachments.values.compactMap { $0.host?.cgroup }
        let users = attachments.values.filter { $0.host != nil && $0.host?.cgroup == nil }.map(\.id)
        followListeners(of: users)
        watchCgroups()
        guard !held.isEmpty || !absent.isEmpty else { return }
        // Those that wait are looked at each time: what they wait for may be there under another path.
        let isWaiting = !absent.isEmpty || attachments.values.contains { $0.host?.reason != nil }
        guard await finder.hasChanged(held) || isWaiting else { return }
        await finder.renew(unitsNotThere)
        // Nothing in it throws.
        try? await changes.run { await self.settleHost() }
    }

    /// Has those folders watched in which what is attached, waited for, or asked for by a pattern comes and goes.
    func watchCgroups() {
        let held = attachments.values.compactMap { $0.host?.cgroup?.path }
        let waited = absent.values.compactMap { $0.memory.cgroup?.path }
        cgroupWatch.follow(finder.tree.foldersAbove(held + waited).union(appearing.folders))
    }

    private func settleHost() async {
        for attachment in attachments.values.filter({ $0.host?.cgroup != nil }) { await settleHost(attachment) }
        for waiting in Array(absent.values) { await takeUp(waiting) }
    }

    private var unitsNotThere: [UnitName] {
        attachments.values.compactMap { $0.host?.reason == nil ? nil : $0.host?.unit }
            + absent.values.compactMap { $0.request.unit.flatMap { try? UnitName($0) } }
    }

    private func settleHost(_ attachment: Attachment) async {
        guard let host = attachment.host, let known = host.cgroup else { return }
        if let now = finder.tree.find(known.path) {
            do {
                guard try follow(attachment, into: now) else { return }
                await lookNow(at: [attachment.id])
                logger.about(attachment.name).notice(
                    "\(attachment.name) is captured again: \(host.text) has started anew")
            } catch {
                note("cannot be captured in its new cgroup: \(error)", of: attachment)
            }
            return
        }
        guard attachment.request.isDurable else {
            finder.forget(known.path)
            await end(attachment, because: "its processes have ended")
            return
        }
        if let unit = host.unit, let place = finder.units.place(of: unit), place != known.path {
            await end(attachment, because: "\(unit) is in another slice now; it is attached anew")
            let memory = AttachmentMemory(
                request: attachment.request, inode: 0, cookie: nil, declared: attachment.declared)
            absent[attachment.name] = AbsentWorkload(
                memory: memory, reason: "\(unit) is not running", since: .now())
            try? keep(memory)
            return
        }
        if note(host.unit.map { "\($0) is not running" } ?? "there is no cgroup \(known.path)", of: attachment) {
            await lookNow(at: [attachment.id])
        }
    }

    /// Says it once.
    /// - Returns: whether it is new.
    @discardableResult
    private func note(_ reason: String, of attachment: Attachment) -> Bool {
        guard attachments[attachment.name]?.host?.reason != reason else { return false }
        attachments[attachment.name]?.host?.reason = reason
        if attachment.host?.goneSince == nil { attachments[attachment.name]?.host?.goneSince = .now() }
        logger.about(attachment.name).notice("\(attachment.name) waits: \(reason)")
        return true
    }

    func end(_ attachment: Attachment, because reason: String) async {
        do {
            try await detachNow(attachment.name)
            logger.about(attachment.name).notice("\(attachment.name) is let go of: \(reason)")
        } catch {
            logger.about(attachment.name).warning(
                "\(attachment.name) cannot be let go of, although \(reason): \(error)")
        }
    }

    /// Has inbound capture follow the ports that users listen on; for others this does nothing.
    func followListeners(of workloads: [WorkloadID]) {
        for attachment in attachments.values where workloads.contains(attachment.id) {
            guard case .user = attachment.opened.identity else { continue }
            do {
                try capture.refreshListeners(attachment.id)
                attachments[attachment.name]?.host?.reason = nil
            } catch {
                note("its ports cannot be followed: \(error)", of: attachment)
            }
        }
    }
}

extension TargetFinder {
    /// Whether any of these is not what is at its path now. Off the caller's actor: a stat(2) for each.
    @concurrent func hasChanged(_ cgroups: [CgroupReference]) async -> Bool {
        cgroups.contains { tree.find($0.path) != $0 }
    }

    /// Off the caller's actor, for systemd may take its time.
    @concurrent func renew(_ names: [UnitName]) async { units.renew(names) }
}

/// Has Mesh follow cgroups as soon as they are made, beside the look that comes twice a second.
struct HostWatch: Sendable {
    let mesh: Mesh

    /// Until the task is cancelled.
    func run() async {
        for await _ in mesh.cgroupWatch.changes {
            let took = await ContinuousClock().measure {
                await mesh.lookAtHost()
                await mesh.lookForInstances()
            }
            // A node that starts units all the time keeps the agent busy for a fifth of it at most.
            try? await Task.sleep(for: max(took * 4, .milliseconds(2)))
        }
    }
}
