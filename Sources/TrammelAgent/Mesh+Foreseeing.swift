import TrammelCapture
import TrammelControlAPI
import TrammelCore

/// An attach that is looked at and not done.
extension Mesh {
    /// - Throws: as the attach itself.
    func foresee(_ request: AttachRequest) async throws -> RulesPreview {
        try await changes.run { try await self.foreseeNow(request) }
    }

    private func foreseeNow(_ request: AttachRequest) async throws -> RulesPreview {
        let name = request.identity.name
        var wanted = try request.captureRequest(mode: settings.captureMode.mode)
        let found = try await finder.find(request)
        if let known = attachments[name] {
            try refuseOther(than: known, found)
            return try foreseen(request, known, found)
        }
        try refuseOwned(found, as: name)
        var besides: [String] = []
        var warnings = found.warnings
        switch found.state {
        case .absent(let error): throw error
        case .there(let target): wanted.target = target
        case .toMove(let pid):
            let move = finder.move(of: pid, for: name)
            let level = UInt32(move.path.split(separator: "/").count)
            // It has no number yet, which no text shows.
            wanted.target = .cgroup(CgroupReference(path: move.path, id: 0, level: level))
            besides.append("process \(pid) has no network namespace of its own: it is \(move.how)")
            warnings += ProcessSockets.find(of: CgroupTree.family(of: pid)).staying(pid, request)
        }
        let preview = try capture.preview(wanted)
        besides += self.besides(request, preview)
        if let reason = bypass.reasonToCome(name) { warnings.append("nothing of this is in force at once: \(reason)") }
        if preview.older > 0, !request.killExisting {
            warnings.append(
                preview.older == 1
                    ? "1 connection is older than this would be and would stay uncaptured until it ends"
                    : "\(preview.older) connections are older than this would be and would stay uncaptured until they end"
            )
        }
        return RulesPreview(
            outcome: .attached, target: found.text, captureMode: preview.plan.outboundMode.rawValue,
            captureReason: preview.modeReason, failureMode: request.failureMode.rawValue,
            rules: InstalledRules(
                workload: "\(name)", backend: "\(preview.plan.backend)", preview.footprint),
            besides: besides, warnings: warnings + [preview.warning].compactMap(\.self) + request.scope.warnings)
    }

    /// Of one that is attached already.
    private func foreseen(
        _ request: AttachRequest, _ known: Attachment, _ found: FoundTarget
    ) throws -> RulesPreview {
        var outcome = AttachResult.Outcome.unchanged
        if case .there(let target) = found.state, let cgroup = target.cgroup, let host = known.host,
            host.cgroup != cgroup || host.reason != nil
        {
            outcome = .refreshed
        }
        return RulesPreview(
            outcome: outcome, target: known.target, captureMode: known.opened.plan.outboundMode.rawValue,
            captureReason: known.opened.modeReason, failureMode: known.request.failureMode.rawValue,
            rules: InstalledRules(
                workload: "\(known.name)", backend: "\(known.opened.plan.backend)",
                try capture.footprint(of: known.id)),
            besides: request.killExisting ? [Self.killing(older(known))] : [])
    }

    private func older(_ known: Attachment) -> Int { capture.plan(of: known.id)?.established.count ?? 0 }

    private static func killing(_ count: Int) -> String {
        "connections that are older are ended by a reset at both ends: \(count) at this moment"
    }

    /// All that an attach does beside rules, routing, sysctls and listeners.
    private func besides(_ request: AttachRequest, _ preview: CapturePreview) -> [String] {
        var lines: [String] = []
        if request.killExisting { lines.append(Self.killing(preview.older)) }
        if preview.plan.outboundMode == .redirect {
            if preview.plan.capturesDNS {
                lines.append(
                    "conntrack forgets DNS flows that go elsewhere, so that the next query of each goes to the agent")
            }
            if !preview.plan.request.target.isOfTheHost {
                lines.append(
                    "the kernel tracks the namespace's connections, and the agent listens to conntrack's events")
            }
        }
        lines.append("\(settings.stateDirectory) keeps the request, by which the next agent attaches it again")
        return lines
    }
}
