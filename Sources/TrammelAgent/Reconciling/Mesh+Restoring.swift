import Logging
import TrammelCapture
import TrammelConfig
import TrammelControlAPI
import TrammelCore

/// Workloads that were attached before, by this agent or the one before it, and have to be attached again.
///
/// Until they are, what their failure mode left in the kernel holds: refusal where it is `closed`.
extension Mesh {
    /// - Returns: what there is to say of one that could not be taken up, in a sentence.
    func restore(_ kept: StateStore.Attachment) async throws -> String? {
        let memory: AttachmentMemory
        do {
            memory = try AttachmentMemory(payload: kept.payload)
        } catch {
            try store.forget(kept.workload)
            return "\(kept.workload) is not attached again, since what is kept of it cannot be read: \(error)"
        }
        if !memory.isOfHost, memory.bootID != AttachmentMemory.currentBootID, memory.outlivesBoot {
            await awaitAfterBoot(memory)
            return nil
        }
        let waiting = AbsentWorkload(memory: memory, reason: "it is being taken up", since: .now())
        absent[waiting.name] = waiting
        guard let said = await attempt(waiting) else { return nil }
        if said.isTrouble { return said.sentence }
        logger.about(waiting.name).notice("\(said.sentence)")
        return nil
    }

    /// Attaches what waits once what it waits for is there, or the cause of the last failure is gone. To be called over
    /// and over.
    func takeUp(_ waiting: AbsentWorkload) async {
        guard waiting.next <= .now() else { return }
        if let said = await attempt(waiting) {
            logger.about(waiting.name).log(level: said.isTrouble ? .warning : .notice, "\(said.sentence)")
        } else if let attachment = attachments[waiting.name] {
            let why = waiting.hasFailed ? "what was in the way is gone" : "\(attachment.target) is there"
            logger.about(waiting.name).notice("\(waiting.name) is attached: \(why)")
        }
    }

    /// - Returns: what there is to say of one that is not attached then, where that is new.
    private func attempt(_ waiting: AbsentWorkload) async -> (sentence: String, isTrouble: Bool)? {
        let memory = waiting.memory
        do {
            var request = memory.request
            let found = try findAgain(memory, &request)
            if case .absent(let error) = found.state { throw error }
            _ = try await attachNow(request, declared: memory.declared, found: found)
            return nil
        } catch let error as TrammelError where Self.endings.contains(error.code) {
            absent[waiting.name] = nil
            bypass.end(waiting.name)
            var sentence = "\(waiting.name) is not attached again: \(error)"
            do {
                try store.forget(waiting.name)
            } catch {
                sentence += "; it is still in the store: \(error)"
            }
            return (sentence, true)
        } catch {
            var still = waiting
            still.note(error, at: .now())
            absent[waiting.name] = still
            return still.reason == waiting.reason ? nil : (still.sentence, still.hasFailed)
        }
    }

    /// What says that there is nothing left to attach.
    private static let endings: Set<String> = ["netns-gone", "pid-gone"]

    private func findAgain(_ memory: AttachmentMemory, _ request: inout AttachRequest) throws -> FoundTarget {
        if memory.isOfHost { return try found(memory) }
        if memory.bootID == AttachmentMemory.currentBootID {
            guard let target = namespace(of: memory) else {
                throw TrammelError(.notFound, code: "netns-gone", "its network namespace is gone")
            }
            if case .pid(let pid) = target { request.pid = pid }
        } else if !memory.outlivesBoot {
            throw TrammelError(.notFound, code: "netns-gone", "its network namespace is gone")
        }
        return try finder.look(request, asking: false)
    }

    /// The very namespace that was attached; nil where it is gone.
    private func namespace(of memory: AttachmentMemory) -> NetworkNamespace.Target? {
        guard memory.bootID == AttachmentMemory.currentBootID else { return nil }
        return capture.find(again: memory.request.namespaceTarget, inode: memory.inode, cookie: memory.cookie)
    }

    /// Detaches one that is not attached at the moment: what holds its traffic back goes too.
    /// - Returns: whether it is such a one.
    func forgetAbsent(_ name: WorkloadName) throws -> Bool {
        guard let waiting = absent[name], attachments[name] == nil else { return false }
        if !waiting.memory.isOfHost, let target = namespace(of: waiting.memory) {
            for outcome in try CaptureCleanup.run(in: [target]) {
                guard let failure = outcome.failure else { continue }
                throw TrammelError(
                    .conflict, code: "not-let-go",
                    "what is left of \(name) in the kernel cannot be taken away: \(failure)",
                    hint: "end what is in the way and detach it again")
            }
        }
        try store.forget(name)
        absent[name] = nil
        bypass.end(name, forget: true)
        if waiting.memory.isOfHost { tell(releaseAnnounced()) }
        return true
    }

    private func tell(_ troubles: [String]) {
        for trouble in troubles { logger.warning("\(trouble)") }
    }

    /// For `trammel status`: those that somebody has to do something about.
    var failures: [String] { absent.values.filter(\.hasFailed).map(\.sentence).sorted() }
}
