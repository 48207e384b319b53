import Glibc
import TrammelCapture
import TrammelConfig
import TrammelControlAPI
import TrammelCore
import TrammelPolicy
import TrammelProxy
import TrammelTelemetry

/// How a workload becomes an attached one.
extension Mesh {
    /// - Parameters:
    ///   - declared: the Workload resource that asks for it; nil where somebody does.
    ///   - found: what the request means, where that is known.
    func attachNow(
        _ request: AttachRequest, declared: DeclaredWorkload? = nil, found known: FoundTarget? = nil
    ) async throws -> AttachResult {
        let name = request.identity.name
        let found: FoundTarget
        if let known { found = known } else { found = try await finder.find(request) }
        // The watch may not have seen yet that what stands in the way has ended.
        await letGoNow { $0.name == name || $0.opened.identity == found.identity }
        if let known = attachments[name] { return try repeated(request, known, found) }
        try refuseOwned(found, as: name)
        let (attachment, warnings) = try await takeIn(request, declared: declared, found: found)
        await publish()
        return AttachResult(
            outcome: .attached, workload: attachment.described(connections: 0),
            warnings: try warnings + request.scope.warnings + older(request, of: attachment))
    }

    /// Captures what nobody has. No snapshot knows of it yet when this returns.
    ///
    /// The kernel is waited for beside the actor, so that several can be captured at the same time.
    /// - Parameter stored: what the store holds of it, where that is known.
    func takeIn(
        _ request: AttachRequest, declared: DeclaredWorkload?, found: FoundTarget, stored: AttachmentMemory? = nil
    ) async throws -> (Attachment, warnings: [String]) {
        guard let dataPlane else {
            throw TrammelError(
                .unavailable, code: "starting", "the agent is still starting", hint: "try again")
        }
        let identity = request.identity
        let settled = try settle(found, for: request)
        var wanted = try request.captureRequest(mode: settings.captureMode.mode)
        wanted.target = settled.target
        await makeRoom(for: found.identity)
        // It was attached before, and its rules hold its traffic back while it cannot be.
        let isTakenUp = absent[identity.name] != nil
        let id = number(for: absent[identity.name]?.memory)
        let (opened, names, datagrams) = try await Self.open(wanted, as: id, by: capture)
        let torn = await endDraining(insteadOf: opened)
        let workload = TrammelProxy.AttachedWorkload(
            source: Source(id: id, identity: identity), addresses: opened.facts.addresses,
            peer: labels.id(ofPeer: PeerLabels(identity)))
        var attachment = Attachment(request: request, opened: opened, workload: workload, attachedAt: .now())
        attachment.declared = declared
        attachment.host = HostPlace(found, settled)
        do {
            try await dataPlane.attach(
                workload, listeners: opened.listeners.map(CaptureListener.init), dns: names, datagrams: datagrams)
            // Before the rules: an agent that dies in between finds them again, instead of a pod shut off by rules that
            // nobody knows of.
            let memory = try memory(of: attachment)
            if memory != stored { try keep(memory) }
            try await Self.turn(opened, of: identity.name, by: bypass)
        } catch {
            if !isTakenUp {
                try? capture.uninstall(id)
                try? store.forget(identity.name)
            }
            await dataPlane.detach(id)
            capture.close(id)
            throw error
        }
        attachments[identity.name] = attachment
        absent[identity.name] = nil
        // What changed while it was being attached was nobody's yet.
        if let facts = capture.facts(of: id), facts != opened.facts { await follow(facts, of: [identity.name]) }
        ports[id] = look(at: attachments[identity.name] ?? attachment)
        return (attachment, settled.warnings + torn)
    }

    @concurrent private static func open(
        _ wanted: CaptureRequest, as id: WorkloadID, by capture: WorkloadCapture
    ) async throws -> (OpenedWorkload, DNSListeners, DatagramListeners) {
        let opened = try capture.open(wanted, as: id)
        do {
            let (names, datagrams) = try opened.datagramListeners(through: capture)
            return (opened, names, datagrams)
        } catch {
            for listener in opened.listeners { close(listener.socket) }
            capture.close(id)
            throw error
        }
    }

    @concurrent private static func turn(
        _ opened: OpenedWorkload, of name: WorkloadName, by bypass: Bypass
    ) async throws {
        try bypass.begin(name, opened)
    }

    /// The one it had before, where that is known and nobody has it; otherwise one that nobody has had.
    private func number(for memory: AttachmentMemory?) -> WorkloadID {
        if let before = memory?.id.map(WorkloadID.init), before.rawValue < nextWorkload, draining[before] == nil,
            ports[before] == nil
        {
            return before
        }
        defer { nextWorkload += 1 }
        return WorkloadID(rawValue: nextWorkload)
    }

    /// What becomes of the connections that the workload has already.
    private func older(_ request: AttachRequest, of attachment: Attachment) throws -> [String] {
        if request.killExisting {
            try capture.abortOlderConnections(of: attachment.id)
            return []
        }
        let count = try capture.olderConnections(of: attachment.id)
        guard count > 0 else { return [] }
        return [
            (count == 1
                ? "1 connection of \(attachment.name) is older than this and stays uncaptured until it ends"
                : "\(count) connections of \(attachment.name) are older than this and stay uncaptured until they end")
                + "; `trammel attach … --kill-existing` ends \(count == 1 ? "it" : "them")"
        ]
    }
}
