import Logging
import TrammelCapture
import TrammelConfig
import TrammelControlAPI
import TrammelCore

extension Mesh {
    /// Attaches what Workload resources ask for and has appeared, detaches what none asks for any more. To be called over
    /// and over.
    func lookForWorkloads() async {
        let resources = appearing.resources(of: set)
        guard
            !resources.isEmpty || !appearing.waiting.isEmpty
                || attachments.values.contains(where: { $0.declared != nil })
        else {
            appearing.folders = []
            return
        }
        var found = await WorkloadCandidate.find(resources, by: finder)
        if found.folders != appearing.folders {
            appearing.folders = found.folders
            watchCgroups()
            // What came before its folder was watched is found by another look.
            found = await WorkloadCandidate.find(resources, by: finder)
        }
        let candidates = found.candidates
        // Nothing in it throws.
        try? await changes.run { await self.bringAbout(candidates) }
    }

    /// The same when a cgroup has come or gone, where that is of interest.
    func lookForInstances() async {
        guard !appearing.folders.isEmpty else { return }
        await lookForWorkloads()
    }

    private func bringAbout(_ candidates: [WorkloadCandidate]) async {
        let now = WallTime.now()
        var waiting: [(candidate: WorkloadCandidate, reason: String, isTrouble: Bool)] = []
        let wanted = choose(candidates, &waiting)
        let released = await letGoOfUndeclared(wanted)
        for (candidate, identity) in wanted {
            if let known = attachments[candidate.name], known.opened.identity == identity {
                guard known.declared != candidate.declared else { continue }
                if known.declared == nil {
                    logger.about(known.name, candidate.resource).notice(
                        "\(known.name) was attached by hand, and is \(candidate.resource)'s from now on")
                }
                await redeclare(known, candidate)
                continue
            }
            // It is tried again with what else was attached before.
            if absent[candidate.name]?.hasFailed ?? false { continue }
            if let reason = appearing.refusal(of: candidate, identity, at: now) {
                waiting.append((candidate, reason, true))
                continue
            }
            do {
                if !identity.isOfHost, !released.contains(identity) {
                    let facts = try capture.facts(of: candidate.request.namespaceTarget)
                    guard appearing.isSetUp(candidate, identity, facts, at: now) else {
                        waiting.append(
                            (candidate, "its network namespace has just appeared and is being set up", false))
                        continue
                    }
                }
                let found = try finder.look(candidate.request, asking: false)
                _ = try await attachNow(candidate.request, declared: candidate.declared, found: found)
                logger.about(candidate.name, candidate.resource).notice(
                    "\(candidate.name) has appeared and is attached, by \(candidate.resource) (\(candidate.location))")
            } catch let error as TrammelError where error.code == "loopback-down" || error.kind == .notFound {
                // It is not set up yet, or has gone again meanwhile.
                waiting.append((candidate, error.message, false))
            } catch {
                appearing.refuse(candidate, identity, "\(error)", at: now)
                waiting.append((candidate, "\(error)", true))
            }
        }
        await letGoOfInstances()
        for news in appearing.settle(waiting, at: now) {
            logger.about(news.candidate.name, news.candidate.resource)
                .log(level: news.isTrouble ? .warning : .info, "\(news.sentence)")
        }
        lookAgain()
    }

    /// Once more in a moment, for those that were being set up.
    private func lookAgain() {
        guard appearing.hasNewcomers, !appearing.isLookingAgain else { return }
        appearing.isLookingAgain = true
        Task {
            try? await Task.sleep(for: .milliseconds(150))
            appearing.isLookingAgain = false
            await lookForWorkloads()
        }
    }

    /// Of several that mean one namespace, or one name, the older resource holds; what was attached by hand stays so.
    private func choose(
        _ candidates: [WorkloadCandidate],
        _ waiting: inout [(candidate: WorkloadCandidate, reason: String, isTrouble: Bool)]
    ) -> [(WorkloadCandidate, CaptureIdentity)] {
        var chosen: [(WorkloadCandidate, CaptureIdentity)] = []
        var owners: [CaptureIdentity: WorkloadCandidate] = [:]
        var names: [WorkloadName: WorkloadCandidate] = [:]
        let byHand = attachments.values.filter { $0.declared == nil }
        let heldByHand = Dictionary(
            byHand.map { ($0.opened.identity, $0) }, uniquingKeysWith: { first, _ in first })
        for candidate in candidates {
            let identity: CaptureIdentity
            switch candidate.whereabouts {
            case .awaited(let reason):
                waiting.append((candidate, reason, false))
                continue
            case .impossible(let reason):
                waiting.append((candidate, reason, true))
                continue
            case .there(let found): identity = found
            }
            let conflict: String?
            if let other = owners[identity] {
                conflict =
                    "\(thing(identity)) is \(other.name) by \(other.resource) (\(other.location)), which is older and "
                    + "holds; let one of them fit less"
            } else if let other = names[candidate.name] {
                conflict =
                    "\(other.resource) (\(other.location)), which is older and holds, has the workload \(other.name) already"
            } else if let holder = heldByHand[identity] {
                conflict =
                    isSame(holder, candidate)
                    ? nil
                    : "\(thing(identity)) was attached by hand, as \(holder.name)\(holder.name == candidate.name ? " in another way" : ""); "
                        + "`trammel detach` it to let this one hold"
            } else if attachments[candidate.name].map({ $0.declared == nil }) ?? false {
                conflict = "something else was attached by hand under this name; `trammel detach` it first"
            } else {
                conflict = nil
            }
            if let conflict {
                waiting.append((candidate, conflict, true))
                continue
            }
            owners[identity] = candidate
            names[candidate.name] = candidate
            chosen.append((candidate, identity))
        }
        return chosen
    }

    private func thing(_ identity: CaptureIdentity) -> String {
        switch identity {
        case .namespace: "its network namespace"
        case .cgroup(let path): "the cgroup \(path)"
        case .user(let uid): "the user \(uid)"
        }
    }

    /// Detaches what was attached by a resource that does not ask for it any more. What it asks for in another way (with
    /// other labels, say) is taken out of the agent's hands without its rules, so that nothing gets past them until it is
    /// attached anew in the next moment.
    /// - Returns: those to be attached anew.
    private func letGoOfUndeclared(
        _ wanted: [(WorkloadCandidate, CaptureIdentity)]
    ) async -> Set<CaptureIdentity> {
        var released: Set<CaptureIdentity> = []
        for attachment in attachments.values {
            guard let declared = attachment.declared else { continue }
            let identity = attachment.opened.identity
            let asked = wanted.first { $0.1 == identity }
            if let (candidate, _) = asked, candidate.name == attachment.name, candidate.request == attachment.request {
                continue
            }
            if asked != nil {
                logger.about(attachment.name).notice(
                    "\(attachment.name) is attached anew, as its Workload resource says now")
                await release(attachment)
                released.insert(identity)
                continue
            }
            // Its namespace may have lost its name; whoever watches namespaces sees to that.
            if case .workload(let spec) = set[declared.resource]?.spec,
                spec.asked(for: attachment.request, resource: declared.resource)
            {
                continue
            }
            do {
                try await detachNow(attachment.name)
                logger.about(attachment.name).notice(
                    "\(attachment.name) is detached: \(declared.resource) asks for it no more")
            } catch {
                logger.about(attachment.name).warning("\(attachment.name) cannot be detached: \(error)")
            }
        }
        return released
    }

    /// What a pattern found and has been gone for a while does not wait for its return: nobody has asked for it by name,
    /// and it is attached again when it appears. A unit that starts anew is gone for a moment only.
    private func letGoOfInstances() async {
        let now = MonotonicTime.now()
        func isGone(_ declared: DeclaredWorkload?, since: MonotonicTime?) -> Bool {
            guard let since, now.nanoseconds(since: since) > Self.patienceWithInstances,
                let resource = declared?.resource, case .workload(let spec) = set[resource]?.spec
            else { return false }
            return TargetPattern(spec.target) != nil
        }
        for attachment in attachments.values where isGone(attachment.declared, since: attachment.host?.goneSince) {
            await end(attachment, because: attachment.host?.reason ?? "it is gone")
        }
        for waiting in absent.values where !waiting.hasFailed && isGone(waiting.memory.declared, since: waiting.begun) {
            do {
                _ = try forgetAbsent(waiting.name)
                logger.about(waiting.name).notice("\(waiting.name) is let go of: \(waiting.reason)")
            } catch {
                logger.about(waiting.name).warning("\(waiting.name) cannot be let go of: \(error)")
            }
        }
    }

    /// Nanoseconds.
    private static let patienceWithInstances: UInt64 = 5_000_000_000

    /// Takes a workload out of the agent's hands and leaves its rules: its connections are refused until it is attached.
    private func release(_ attachment: Attachment) async {
        attachments[attachment.name] = nil
        ports[attachment.id] = nil
        bypass.end(attachment.name)
        ledger.forget(attachment.id)
        await dataPlane?.detach(attachment.id)
        capture.close(attachment.id)
    }

    /// Remembers an attachment. What is in the store already, as after a restart, is not written again: so a disk that is
    /// full keeps nobody from being attached once more.
    func keep(_ memory: AttachmentMemory) throws {
        let name = memory.request.identity.name
        if let known = try store.attachment(of: name), try AttachmentMemory(payload: known.payload) == memory { return }
        try store.keep(StateStore.Attachment(workload: name, payload: memory.payload()))
    }
}

/// Has Mesh look for what Workload resources ask for as soon as a name appears below /run/netns. What no event tells of
/// (a process, a namespace that is mounted on a file a while after that was made) is found by `NamespaceWatch`, which
/// looks twice a second.
struct AppearanceWatch: Sendable {
    let mesh: Mesh

    /// Until the task is cancelled.
    func run() async {
        let watch = FolderWatch("/run/netns", rhythm: .init(quiet: 10, longest: 100, anyway: 60_000))
        for await _ in watch.changes { await mesh.lookForWorkloads() }
    }
}
