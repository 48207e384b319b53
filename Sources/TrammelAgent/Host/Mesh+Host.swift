import Logging
import TrammelCapture
import TrammelControlAPI
import TrammelCore

/// Workloads of the host itself, as an attach and a detach find them.
extension Mesh {
    /// The same name again: nothing to do for the same target, a conflict for another. A unit that has started again is in
    /// another cgroup of the same path, which is what is captured when this returns: its drop-in asks before its first
    /// packet.
    func repeated(_ request: AttachRequest, _ known: Attachment, _ found: FoundTarget) throws -> AttachResult {
        try refuseOther(than: known, found)
        guard case .there(let target) = found.state, let cgroup = target.cgroup, try follow(known, into: cgroup) else {
            if request.killExisting { try capture.abortOlderConnections(of: known.id) }
            return AttachResult(outcome: .unchanged, workload: known.described(connections: 0))
        }
        let now = attachments[known.name] ?? known
        return AttachResult(outcome: .refreshed, workload: now.described(connections: 0))
    }

    /// - Throws: `conflict` where the name is that of another target.
    func refuseOther(than known: Attachment, _ found: FoundTarget) throws {
        guard known.opened.identity == found.identity else {
            throw TrammelError(
                .conflict, code: "workload-attached", "\(known.name) is attached already, to \(known.target)",
                hint: "detach it first, or attach \(found.text) under another name")
        }
    }

    /// Has the rules name the cgroup that a workload is in now.
    /// - Returns: whether they named another.
    func follow(_ known: Attachment, into cgroup: CgroupReference) throws -> Bool {
        guard var host = known.host, host.cgroup != cgroup || host.reason != nil else { return false }
        try capture.refresh(known.id, cgroup)
        host.cgroup = cgroup
        host.reason = nil
        host.goneSince = nil
        attachments[known.name]?.host = host
        return true
    }

    /// - Throws: `conflict` where another name has what was found.
    func refuseOwned(_ found: FoundTarget, as name: WorkloadName) throws {
        if let other = attachments.values.first(where: { $0.opened.identity == found.identity }) {
            guard found.identity.isOfHost else {
                throw TrammelError(
                    .conflict, code: "netns-attached", "this network namespace is attached already, as \(other.name)",
                    hint: "a namespace has one owner; detach \(other.name) first")
            }
            throw TrammelError(
                .conflict, code: "target-attached", "\(found.text) is attached already, as \(other.name)",
                hint: "it has one owner; detach \(other.name) first")
        }
        for (other, waiting) in absent {
            let isSame = isOf(found, waiting)
            if other == name, !isSame {
                throw TrammelError(
                    .conflict, code: "workload-attached",
                    "\(name) is attached already, to \(waiting.request.targetText), which is not there at the moment",
                    hint: "detach it first, or attach \(found.text) under another name")
            }
            if other != name, isSame {
                throw TrammelError(
                    .conflict, code: "target-attached", "\(found.text) is attached already, as \(other)",
                    hint: "it has one owner; detach \(other) first")
            }
        }
    }

    private func isOf(_ found: FoundTarget, _ waiting: AbsentWorkload) -> Bool {
        if let path = found.identity.cgroupPath, let cgroup = waiting.memory.cgroup { return cgroup.path == path }
        // A process that leads to it may have ended, and another leads there.
        if case .namespace(let identity) = found.identity, !waiting.memory.isOfHost,
            waiting.memory.bootID == AttachmentMemory.currentBootID
        {
            return identity.inode == waiting.memory.inode
        }
        return found.text == waiting.request.targetText
    }

    /// Does what a target needs before it can be captured: a process without a namespace of its own gets a cgroup.
    func settle(_ found: FoundTarget, for request: AttachRequest) throws -> SettledTarget {
        switch found.state {
        case .there(let target): return SettledTarget(target: target, warnings: found.warnings)
        case .absent(let error): throw error
        case .toMove(let pid):
            let sockets = ProcessSockets.find(of: CgroupTree.family(of: pid))
            let (cgroup, how) = try finder.move(pid, for: request.identity.name)
            if request.killExisting { try sockets.abortConnections() }
            return SettledTarget(
                target: .cgroup(cgroup), warnings: found.warnings + [how] + sockets.staying(pid, request))
        }
    }

    func memory(of attachment: Attachment) throws -> AttachmentMemory {
        var memory = AttachmentMemory(
            request: attachment.request, inode: attachment.opened.namespace.identity.inode,
            cookie: try capture.cookie(of: attachment.opened.namespace), declared: attachment.declared)
        memory.id = attachment.id.rawValue
        memory.hostIndex = attachment.opened.plan.hostIndex
        if let cgroup = attachment.host?.cgroup {
            // One that comes back is told by its path alone.
            memory.cgroup = .init(path: cgroup.path, id: attachment.request.isDurable ? 0 : cgroup.id)
        }
        return memory
    }
}

extension ProcessSockets {
    /// What of a process that is moved into a cgroup goes past the agent, since it is older than the move.
    func staying(_ pid: Int32, _ request: AttachRequest) -> [String] {
        var warnings: [String] = []
        if !listening.isEmpty {
            let ports = listening.map(String.init).joined(separator: ", ")
            warnings.append(
                "it listens on port \(ports) by a socket from before the move: connections to it stay uncaptured "
                    + "until the application listens anew")
        }
        if !request.killExisting, connectionCount > 0 {
            warnings.append(
                "\(connectionCount) connections of process \(pid) are from before the move and stay "
                    + "uncaptured until they end; `trammel attach … --kill-existing` ends them")
        }
        return warnings
    }
}
