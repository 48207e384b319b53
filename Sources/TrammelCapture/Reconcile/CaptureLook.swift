import Glibc
package import TrammelCore

/// What a capture is made of, so far as it can be lost and put back by itself.
package enum CapturePart: String, Hashable, Sendable, CaseIterable {
    case table, rules, routing, sysctl

    static let all = Set(allCases)
}

/// What a look at a workload's namespace found, and what was done about it.
struct CaptureLook: Sendable {
    enum Outcome: Sendable {
        /// All is as it should be, or nothing is to be captured now.
        case well
        case repaired
        /// It was not to be repaired yet.
        case heldBack
        case failed(TrammelError)
    }

    /// One sentence for each thing that is not as it should be.
    var drift: [String] = []
    var parts: Set<CapturePart> = []
    var outcome = Outcome.well
    /// Where they are others than at the last look.
    var facts: NamespaceFacts?

    mutating func add(_ part: CapturePart, _ sentences: [String]) {
        guard !sentences.isEmpty else { return }
        drift += sentences
        parts.insert(part)
    }
}

extension WorkloadCapture {
    /// Compares a workload's namespace with what should be there, and puts back what is not.
    ///
    /// Takes about a millisecond, since it reads the rules back. Repairs only what is amiss: counters of rules that
    /// stand go on. A workload whose traffic is not turned, or is let past on purpose, is let be.
    /// - Returns: nil when it is not attached any more.
    func look(at id: WorkloadID, repairing: Bool) throws -> CaptureLook? {
        guard id != CaptureWatch.host else { return try lookAtHost(repairing: repairing) }
        guard let attachment = attachments.withLock({ $0[id] }) else { return nil }
        // The host's table is not one member's, and its sysctls are everybody's.
        guard !attachment.isOnHost else { return try lookAtHost(repairing: repairing) }
        return try attachment.installed.withLock { installed in
            try inside(attachment.workload.namespace) {
                var look = CaptureLook()
                let facts = try NamespaceFacts.readAnyhow()
                attachment.facts.withLock { known in
                    if known != facts { look.facts = facts }
                    known = facts
                }
                guard let plan = installed, plan.phase == .capturing else { return look }
                let hasIPv6 = attachment.capturesIPv6
                let found = try InstalledRules(comparing: plan, hasIPv6: hasIPv6)
                (look.drift, look.parts) = (found.drift, found.parts)
                guard !found.drift.isEmpty else { return look }
                guard repairing else {
                    look.outcome = .heldBack
                    return look
                }
                do {
                    guard facts.loopbackIsUp else { throw NamespaceFacts.loopbackDown }
                    try cgroup.verify()
                    try NamespaceCapture.install(
                        plan, hasIPv6: hasIPv6, owner: try attachment.owner(of: plan, keeper), parts: found.parts)
                    look.outcome = .repaired
                } catch let error as TrammelError {
                    look.outcome = .failed(error)
                }
                return look
            }
        }
    }

    /// The same for all members of the host at once, since they share its tables.
    private func lookAtHost(repairing: Bool) throws -> CaptureLook? {
        let members = attachments.withLock { $0.values.filter(\.isOnHost) }
        let plans = members.compactMap { member in member.installed.withLock { $0 } }
        guard !members.isEmpty else { return nil }
        var look = CaptureLook()
        let facts = try NamespaceFacts.readAnyhow()
        for member in members {
            member.facts.withLock { known in
                if known != facts { look.facts = facts }
                known = facts
            }
        }
        let tables = host.tables
        guard host.isCapturing, let plan = plans.first(where: { $0.outboundMode == .tproxy }) ?? plans.first
        else { return look }
        var nft = try NftSocket()
        var amiss: Set<String> = []
        for table in tables {
            let before = look.drift.count
            if let found = try nft.contents(ofTable: table.name) {
                look.add(.rules, InstalledRules.differences(of: table, try NftContents(encoding: table), found))
            } else {
                look.add(
                    .table, ["the host's table \(table.name) is missing: no cgroup and no user is captured by it"])
            }
            if look.drift.count > before { amiss.insert(table.name) }
        }
        look.add(.routing, try InstalledRules.missingRouting(plan, hasIPv6: ListenerSockets.hasIPv6()))
        guard !look.drift.isEmpty else { return look }
        // A member that came or went meanwhile is no drift.
        guard host.tables == tables else { throw NetlinkFailure(code: EINTR) }
        guard repairing else {
            look.outcome = .heldBack
            return look
        }
        do {
            try cgroup.verify()
            try host.repair(amiss)
            look.outcome = .repaired
        } catch let error as TrammelError {
            look.outcome = .failed(error)
        }
        return look
    }

    /// Whether a sysctl of the workload's is not as it should be: no event tells of those.
    func hasLostSettings(_ id: WorkloadID) -> Bool {
        guard let attachment = attachments.withLock({ $0[id] }), !attachment.isOnHost,
            let plan = attachment.installed.withLock({ $0 }), plan.phase == .capturing
        else { return false }
        return attachment.settings.withLock { files in
            files = files ?? (try? inside(attachment.workload.namespace) { SettingsFiles(plan.outboundMode) })
            return files.map { !$0.areOn } ?? false
        }
    }

    /// Whether rules of iptables-legacy have changed since this was asked last, where the workload's are such: no event
    /// tells of those either.
    func hasOtherLegacyRules(_ id: WorkloadID) -> Bool {
        guard let attachment = attachments.withLock({ $0[id] }),
            let plan = attachment.installed.withLock({ $0 }), plan.phase == .capturing,
            case .iptables(.legacy) = plan.backend,
            let now = try? inside(attachment.workload.namespace, LegacyRules.fingerprint)
        else { return false }
        return attachment.legacyRules.withLock { known in
            defer { known = now }
            return known != now
        }
    }

    /// What was true of a workload's namespace when last looked at.
    package func facts(of id: WorkloadID) -> NamespaceFacts? {
        attachments.withLock { $0[id] }?.facts.withLock { $0 }
    }

    // MARK: Families

    /// Opens the listeners of a family that was not there when the workload was attached. Nil where they are open
    /// already, or the family has gone again.
    package func openListeners(
        of id: WorkloadID, _ family: IPAddress.Family
    ) throws -> (streams: [OpenedListener], dns: [OpenedDNSListener], datagrams: [OpenedDatagramListener])? {
        let attachment = try attachment(id)
        guard family == .v6, !attachment.servesIPv6.withLock({ $0 }) else { return nil }
        return try inside(attachment.workload.namespace) {
            guard ListenerSockets.hasIPv6() else { return nil }
            let opened = try ListenerSockets.open(attachment.workload.plan, families: [family], keeper)
            keeper.keep(opened, of: id)
            return (opened.streams, opened.dns, opened.datagrams)
        }
    }

    /// The listeners of the family are adopted: from now on its packets are led to them.
    package func serve(_ family: IPAddress.Family, of id: WorkloadID) {
        guard let attachment = attachments.withLock({ $0[id] }), family == .v6 else { return }
        attachment.servesIPv6.withLock { $0 = true }
        watch.withLock { $0 }?.ask(for: attachment.isOnHost ? CaptureWatch.host : id)
    }
}
