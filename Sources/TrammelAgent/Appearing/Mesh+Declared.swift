import Logging
import TrammelCapture
import TrammelControlAPI
import TrammelCore

/// Workloads that are attached because a resource says so, as others meet them.
extension Mesh {
    /// Attaches what is meant in the way that the Workload resource has it that asks for it: for hooks that are called
    /// before whatever is there has sent a packet, and know nothing of names and labels.
    func attach(asDeclared target: DeclaredTarget) async throws -> AttachResult {
        try await changes.run { try await self.attachNow(asDeclared: target) }
    }

    private func attachNow(asDeclared target: DeclaredTarget) async throws -> AttachResult {
        let asked = target.request
        try asked.check()
        let found = try await finder.find(asked)
        let candidates = await WorkloadCandidate.find(appearing.resources(of: set), by: finder).candidates
        guard let candidate = candidates.first(where: { $0.whereabouts == .there(found.identity) }) else {
            throw TrammelError(
                .notFound, code: "workload-undeclared", "no Workload resource asks for \(found.text)",
                hint: "apply one, or attach it by a name of its own: `trammel attach … --name NAME`")
        }
        let result = try await attachNow(candidate.request, declared: candidate.declared, found: found)
        if let known = attachments[candidate.name], known.declared != candidate.declared, isSame(known, candidate) {
            await redeclare(known, candidate)
        }
        return result
    }

    /// Whether what somebody has attached is what a resource asks for, so that there is nothing to do but to call it the
    /// resource's.
    func isSame(_ attachment: Attachment, _ candidate: WorkloadCandidate) -> Bool {
        attachment.name == candidate.name && attachment.request.targetText == candidate.request.targetText
            && attachment.request.manner == candidate.request.manner
    }

    /// Only what has a name has changed, or whose it is.
    func redeclare(_ attachment: Attachment, _ candidate: WorkloadCandidate) async {
        var changed = attachment
        changed.request = candidate.request
        changed.declared = candidate.declared
        attachments[attachment.name] = changed
        ports[attachment.id] = look(at: changed)
        await publish()
        do {
            try keep(memory(of: changed))
        } catch {
            logger.about(attachment.name).warning(
                "\(attachment.name) is changed, and the store has it as it was: \(error)")
        }
    }

    /// - Throws: `conflict` for a workload that would be attached again at once.
    func refuseDeclared(_ name: WorkloadName) throws {
        guard let declared = attachments[name]?.declared, let resource = set[declared.resource] else { return }
        throw TrammelError(
            .conflict, code: "workload-declared",
            "\(name) is attached by \(resource.key) (\(resource.location)), and would be again at once",
            hint: "delete that resource, or narrow what it fits")
    }
}
