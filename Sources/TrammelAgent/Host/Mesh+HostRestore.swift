import TrammelCapture
import TrammelConfig
import TrammelControlAPI
import TrammelCore

/// Workloads of the host itself when the agent starts.
extension Mesh {
    /// Tells Capture of all that were attached, before the first of them is opened: none is let past the rules of the
    /// agent before while another is taken up.
    /// - Returns: what went wrong, each in a sentence.
    func announce(_ kept: [KeptAttachment]) -> [String] {
        let memories = kept.compactMap(\.known).filter(\.isOfHost)
        finder.sweep()
        guard !memories.isEmpty else { return [] }
        for memory in memories {
            guard let name = memory.request.unit.flatMap({ try? UnitName($0) }), let cgroup = memory.cgroup else {
                continue
            }
            finder.units.remember(name, at: cgroup.path)
        }
        return expect(memories)
    }

    /// Those that could not be taken up stay refused, and no others.
    func releaseAnnounced() -> [String] { absent.isEmpty ? expect([]) : expect(absent.values.map(\.memory)) }

    private func expect(_ memories: [AttachmentMemory]) -> [String] {
        let requests = memories.compactMap { memory -> ExpectedMember? in
            guard var request = try? memory.request.captureRequest(mode: settings.captureMode.mode),
                let found = try? found(memory), case .there(let target) = found.state
            else { return nil }
            request.target = target
            return ExpectedMember(request, at: memory.hostIndex)
        }
        do {
            try capture.expect(requests)
            return []
        } catch {
            return ["the workloads of the host are not held back while they are taken up: \(error)"]
        }
    }

    /// What is there of what was attached.
    func found(_ memory: AttachmentMemory) throws -> FoundTarget {
        guard !memory.request.isDurable, let cgroup = memory.cgroup else {
            return try finder.look(memory.request, asking: false)
        }
        guard memory.bootID == AttachmentMemory.currentBootID, let now = finder.tree.find(cgroup.path),
            now.id == cgroup.id
        else {
            throw TrammelError(.notFound, code: "pid-gone", "its processes have ended")
        }
        return FoundTarget(
            text: memory.request.targetText, identity: .cgroup(cgroup.path), state: .there(.cgroup(now)))
    }
}
