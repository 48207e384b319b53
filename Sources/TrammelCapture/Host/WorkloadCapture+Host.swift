package import TrammelCore

/// The host's members: cgroups and users in the agent's own network namespace.
extension WorkloadCapture {
    /// Announces members of the host that are known from before and not open yet, before the first `open` of an agent
    /// that starts. Their new connections are refused until `open` and `install`, be it that the table of the agent
    /// before still holds them (the first change would drop them from it and let their traffic go past), be it that
    /// the machine has started anew.
    ///
    /// Those that fail open are let past until then, by the others' rules too.
    ///
    /// Replaces what was announced before; an empty list lets go of those that will not be attached after all.
    /// - Parameter hostMembers: requests for cgroups and users; others are left out of account.
    package func expect(_ hostMembers: [ExpectedMember]) throws {
        try cgroup.verify()
        try host.expect(hostMembers)
    }

    /// A member's cgroup was made anew, as a unit's is at every start: the rules name the new one when this returns.
    /// One that is still the same changes nothing.
    /// - Throws: `notFound` when the workload is not attached, `invalid` when it is not a cgroup's or the path differs.
    package func refresh(_ id: WorkloadID, _ cgroup: CgroupReference) throws {
        guard case .cgroup(let path) = try attachment(id).workload.identity, path == cgroup.path else {
            throw TrammelError(
                .invalid, code: "cgroup-other", "the workload was not attached as the cgroup \(cgroup.path)",
                hint: "detach it and attach the other")
        }
        try host.select(.cgroup(cgroup), for: id)
    }

    /// Looks again at which ports a member listens on. Only a user's inbound connections depend on it, since the
    /// kernel can tell a listener's cgroup and not its user; for other workloads this changes nothing. A port that
    /// somebody else listens on too, at another address, is left alone.
    /// - Returns: whether the ports changed.
    @discardableResult
    package func refreshListeners(_ id: WorkloadID) throws -> Bool {
        guard case .user(let user) = try attachment(id).workload.identity else { return false }
        let ports = try host.ownership(id).ports(among: allSockets(id, states: [TCPSocketInfo.listen]))
        return try host.select(.user(user, ports: ports), for: id)
    }

    // MARK: Parts of an attach

    /// What is true of the host's namespace, and how a request is captured there.
    /// - Throws: what cannot be captured there, by its name.
    func chooseOnHost(
        _ request: CaptureRequest
    ) throws -> (facts: NamespaceFacts, mode: CaptureMode, reason: String) {
        if case .cgroup(let cgroup) = request.target {
            let agent = self.cgroup.reference.path
            guard agent != cgroup.path, !cgroup.path.hasPrefix(agent + "/") else {
                throw TrammelError(
                    .forbidden, code: "cgroup-of-the-agent", "\(cgroup.path) is the cgroup of the agent itself",
                    hint: "attach the application's own")
            }
        }
        guard request.outboundFromInterfaces.isEmpty else {
            throw TrammelError(
                .invalid, code: "host-interfaces",
                "what comes in by \(request.outboundFromInterfaces[0]) is nobody's in particular on the host",
                hint: "leave --outbound-from-interface out; it is for network namespaces")
        }
        let facts = try NamespaceFacts.read()
        let (mode, reason) = try chooseModeOnHost(request)
        return (facts, mode, reason)
    }

    func openOnHost(_ request: CaptureRequest, as id: WorkloadID) throws -> OpenedWorkload {
        let (facts, mode, reason) = try chooseOnHost(request)
        let identity = try HostCapture.identity(request.target)
        try refuseConflict(identity, id)
        let member = try host.open(id, request, mode)
        do {
            let listeners = try ListenerSockets.open(member.plan, hasIPv6: facts.hasIPv6, keeper)
            keeper.keep(listeners, of: id)
            let workload = OpenedWorkload(
                id: id, identity: identity, namespace: sockets.home, facts: facts, plan: member.plan,
                modeReason: reason, sourceKeeping: .onHost, listeners: listeners.streams, dnsListeners: listeners.dns,
                datagramListeners: listeners.datagrams)
            do {
                try admit(workload)
            } catch {
                listeners.close()
                keeper.drop(id)
                throw error
            }
            return workload
        } catch {
            host.close(id)
            throw error
        }
    }

    func installOnHost(_ attachment: Attachment, _ installed: CapturePlan?) throws -> CapturePlan {
        let id = attachment.workload.id
        var plan = installed ?? attachment.workload.plan
        try refreshListeners(id)
        try host.install(id)
        if installed == nil { plan.established = try host.connectionsBefore(id) ?? connectionsPast(plan, attachment) }
        try KeptVerdicts.turn(plan, of: attachment.workload.facts)
        return plan
    }

    /// Asks the kernel, as for a namespace.
    private func chooseModeOnHost(_ request: CaptureRequest) throws -> (CaptureMode, String) {
        func refusal(_ mode: CaptureMode) throws -> TrammelError? {
            try nftables.refusal(of: .host, mode) {
                var nft = try NftSocket()
                return try nft.refusal(of: host.trial(request, mode))
            }
        }
        if let asked = request.mode {
            if let refusal = try refusal(asked) { throw refusal }
            return (asked, "\(asked.rawValue) was asked for")
        }
        guard let tproxyRefusal = try refusal(.tproxy) else {
            return (
                .tproxy,
                "the kernel takes tproxy rules for the host's own traffic, and tproxy changes neither address nor port"
            )
        }
        if let other = try refusal(.redirect) { throw other }
        return (.redirect, "the kernel does not take tproxy rules: \(tproxyRefusal.message)")
    }
}

extension SourceKeeping {
    static let onHost = SourceKeeping(
        isPossible: true,
        reason: "replies find their way back by the connection's mark; an application that listens on loopback only is "
            + "called from there, since it could not answer another address")
}
