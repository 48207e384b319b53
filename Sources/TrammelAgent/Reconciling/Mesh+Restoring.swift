import Logging
import TrammelCapture
import TrammelConfig
import TrammelControlAPI
import TrammelCore

/// Workloads that were attached before, by this agent or the one before it, and have to be attached again.
///
/// Until they are, what their failure mode left in the kernel holds: refusal where it is `closed`.
extension Mesh {
    /// What is in a network namespace of its own is taken up together, for each of them is mostly a wait for the kernel and
    /// for the data loops. The others share tables or targets, and come after each other.
    ///
    /// Of those that cannot be taken up the log tells, each by its name.
    /// - Returns: what is amiss with all of them, each in a sentence.
    func takeUp(_ kept: [KeptAttachment]) async throws -> [String] {
        nextWorkload = (kept.compactMap { $0.known?.id }.filter { $0 < .max }.max() ?? 0) + 1
        let attached = try endDrained(kept)
        let troubles = announce(attached)
        var waiting: [AbsentWorkload] = []
        for kept in attached {
            switch kept.memory {
            case .success(let memory) where !memory.isOfHost && !memory.isOfThisBoot && memory.outlivesBoot:
                await awaitAfterBoot(memory)
            case .success(let memory):
                waiting.append(AbsentWorkload(memory: memory, reason: "it is being taken up", since: .now()))
            case .failure(let error):
                try store.forget(kept.workload)
                logger.about(kept.workload).warning(
                    "\(kept.workload) is not attached again, since what is kept of it cannot be read: \(error)")
            }
        }
        for waiting in waiting { absent[waiting.name] = waiting }
        let namespaces = Dictionary(grouping: waiting.filter(\.isInOwnNamespace), by: \.memory.inode)
        let apart = waiting.filter { $0.isInOwnNamespace && namespaces[$0.memory.inode]?.count == 1 }
        await takeUpTogether(apart)
        let done = Set(apart.map(\.name))
        for waiting in waiting where !done.contains(waiting.name) {
            tell(await attempt(waiting), of: waiting)
        }
        return troubles
    }

    /// - Parameter waiting: of which no two have to do with each other.
    private func takeUpTogether(_ waiting: [AbsentWorkload]) async {
        await withTaskGroup(of: Void.self) { group in
            var rest = waiting.makeIterator()
            func next() {
                guard let waiting = rest.next() else { return }
                group.addTask { await self.takeUpApart(waiting) }
            }
            for _ in 0..<Self.mostAtOnce { next() }
            for await _ in group { next() }
        }
    }

    /// So that each core has work while others wait for a data loop.
    private static let mostAtOnce = 16

    private func takeUpApart(_ waiting: AbsentWorkload) async {
        tell(await attempt(waiting, isApart: true), of: waiting)
    }

    private func tell(_ said: (sentence: String, isTrouble: Bool)?, of waiting: AbsentWorkload) {
        guard let said else { return }
        logger.about(waiting.name).log(level: said.isTrouble ? .warning : .notice, "\(said.sentence)")
    }

    /// Attaches what waits once what it waits for is there, or the cause of the last failure is gone. To be called over
    /// and over.
    func takeUp(_ waiting: AbsentWorkload) async {
        guard waiting.next <= .now() else { return }
        if let said = await attempt(waiting) {
            tell(said, of: waiting)
        } else if let attachment = attachments[waiting.name] {
            let why = waiting.hasFailed ? "what was in the way is gone" : "\(attachment.target) is there"
            logger.about(waiting.name).notice("\(waiting.name) is attached: \(why)")
        }
    }

    /// - Parameter isApart: it is known that what it was attached to is nobody else's, and whoever asks publishes it.
    /// - Returns: what there is to say of one that is not attached then, where that is new.
    private func attempt(
        _ waiting: AbsentWorkload, isApart: Bool = false
    ) async -> (sentence: String, isTrouble: Bool)? {
        let memory = waiting.memory
        do {
            var request = memory.request
            let found = try findAgain(memory, &request)
            if case .absent(let error) = found.state { throw error }
            if isApart {
                _ = try await takeIn(request, declared: memory.declared, found: found, stored: memory)
            } else {
                _ = try await attachNow(request, declared: memory.declared, found: found)
            }
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
        if memory.isOfThisBoot {
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
        guard memory.isOfThisBoot else { return nil }
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
