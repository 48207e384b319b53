import CNetfilter
package import TrammelCore

/// From one phase of a workload's capture to another, with nothing torn that was under way.
extension WorkloadCapture {
    /// New connections of the workload go where they are going from now on; those that the agent carries are kept
    /// together until they end. Doing so again changes nothing.
    ///
    /// `resume` turns new ones again; `uninstall` ends it, and then what is still carried is torn.
    ///
    /// - Parameter isLeaving: for good: another workload may take the same target from now on.
    package func drain(_ id: WorkloadID, isLeaving: Bool = false) throws {
        let attachment = try attachment(id)
        // What goes past on purpose is no leak.
        if isLeaving {
            flows.end(id)
        } else {
            flows.setBypassed(true, id)
        }
        try attachment.installed.withLock { installed in
            guard var plan = installed else { return }
            guard plan.phase == .capturing else {
                if isLeaving { attachment.isLeaving.store(true, ordering: .relaxed) }
                return attachment.isOnHost ? try put(plan, of: attachment) : ()
            }
            plan.phase = .draining
            if isLeaving { attachment.isLeaving.store(true, ordering: .relaxed) }
            if plan.outboundMode == .tproxy, !attachment.isOnHost {
                var step = plan
                step.isSettling = true
                step.carried = try connections(plan, attachment).turnedInOrder
                try put(step, of: attachment, parts: [.rules])
                // From here on none is added to what is carried.
                plan.carried = try connections(plan, attachment).turnedInOrder
            }
            plan.established = []
            try put(plan, of: attachment, parts: [.rules])
            try inside(attachment.workload.namespace) { try KeptVerdicts.release(plan) }
            installed = plan
        }
    }

    /// The opposite of `drain`: new connections are turned again, and what began directly meanwhile stays direct.
    package func resume(_ id: WorkloadID) throws {
        let attachment = try attachment(id)
        try attachment.installed.withLock { installed in
            guard let plan = installed, plan.phase == .draining else { return }
            installed = try begin(plan, attachment)
        }
        if let plan = plan(of: id) { flows.begin(attachment.workload, plan) }
        flows.setBypassed(false, id)
    }

    /// How many sockets of the agent's are in the workload's network namespace, its listeners left out: what would be
    /// torn by taking the rules away. Nil for a workload of the host, whose namespace is also others'.
    package func socketsInUse(of id: WorkloadID) throws -> Int? {
        let attachment = try attachment(id)
        guard !attachment.isOnHost else { return nil }
        return try plan(of: id).map { try connections($0, attachment).agents.count } ?? 0
    }

    /// Turns traffic that has not been turned, or not lately.
    /// - Returns: the plan that is in force.
    func begin(_ from: CapturePlan, _ attachment: Attachment) throws -> CapturePlan {
        var plan = from
        plan.phase = .capturing
        plan.carried = []
        plan.established = []
        func look() throws -> NamespaceConnections { try connections(from, attachment) }
        if let known = keeper.kept.takeEstablished(of: attachment.workload.id), !attachment.isOnHost {
            plan.established = known
            try put(plan, of: attachment)
        } else if plan.outboundMode == .tproxy, !attachment.isOnHost {
            let before = try look()
            // Where new connections are let past until now, one may have begun since.
            let standing = try inside(attachment.workload.namespace) { try NamespaceRules.note(ofStanding: plan) }
            if standing == nil || !before.own.isEmpty {
                var step = plan
                step.isSettling = true
                step.established = before.direct(since: before)
                step.carried = before.turnedInOrder
                try put(step, of: attachment)
                // From here on none is added to those that are direct.
                let first = try look()
                plan.established = try look().direct(since: first)
                try put(plan, of: attachment, parts: [.rules])
            } else {
                try put(plan, of: attachment, standing: standing)
            }
        } else {
            try put(plan, of: attachment)
            plan.established = try connectionsPast(from, attachment)
        }
        try inside(attachment.workload.namespace) {
            try KeptVerdicts.turn(plan, of: attachment.isOnHost ? attachment.workload.facts : nil)
        }
        return plan
    }

    /// Takes off the lists what has ended, so that new connections may have the same ends. To be called now and then.
    package func forgetEndedConnections(of id: WorkloadID) throws {
        let attachment = try attachment(id)
        try attachment.installed.withLock { installed in
            guard let plan = installed else { return }
            installed = try forgetEnded(plan, attachment)
        }
    }

    func forgetEnded(_ plan: CapturePlan, _ attachment: Attachment) throws -> CapturePlan {
        guard !plan.established.isEmpty || !plan.carried.isEmpty else { return plan }
        let now = try connections(plan, attachment)
        var left = plan
        left.established = plan.established.filter { now.own.contains($0) && !now.isCarried($0) }
        left.carried = plan.carried.filter { now.turned.contains($0) }
        if left != plan, left.outboundMode == .tproxy, !attachment.isOnHost {
            try put(left, of: attachment, parts: [.rules])
        }
        return left
    }

    /// Connections of the workload's processes that go past the agent and its rules, which stand. No rule needs the list;
    /// people want to know of them all the same.
    func connectionsPast(_ plan: CapturePlan, _ attachment: Attachment) throws -> [ConntrackEntry.Tuple] {
        let first = try connections(plan, attachment)
        return first.own.isEmpty ? [] : try connections(plan, attachment).direct(since: first)
    }

    func connections(_ plan: CapturePlan, _ attachment: Attachment) throws -> NamespaceConnections {
        let workload = attachment.workload
        let ownership = attachment.isOnHost ? try host.ownership(workload.id) : nil
        // The agent's own of this workload.
        let listeners = workload.listeners.count + workload.dnsListeners.filter { $0.transport == .tcp }.count
        return try inside(workload.namespace) {
            if let count = NamespaceConnections.count, count <= listeners { return NamespaceConnections() }
            return try NamespaceConnections(of: plan, families: workload.facts.families, agent: agentIDs) {
                ownership?.owns($0) ?? true
            }
        }
    }

    /// Has the kernel hold the plan, whatever it held before.
    /// - Parameters:
    ///   - parts: where the others are as they should be, or of no account.
    ///   - standing: the note of the plan's own rules, where they have just been seen to stand.
    func put(
        _ plan: CapturePlan, of attachment: Attachment, parts: Set<CapturePart> = CapturePart.all,
        standing: String? = nil
    ) throws {
        if attachment.isOnHost {
            return try host.set(
                plan.phase, isLeaving: attachment.isLeaving.load(ordering: .relaxed), for: attachment.workload.id)
        }
        try inside(attachment.workload.namespace) {
            try NamespaceCapture.install(
                plan, hasIPv6: attachment.capturesIPv6, owner: try attachment.owner(of: plan, keeper), parts: parts,
                standing: standing)
        }
    }
}
