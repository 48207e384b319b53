import TrammelCore

/// What conntrack keeps of verdicts under redirect: NAT judges the first packet of a flow, and whatever follows goes
/// the same way for as long as the flow is known, be the rules others by then.
///
/// A resolver that was asked before capture began would go on being asked directly, and the other way round afterwards.
/// And a TCP connection that was refused or reset is known for ten more seconds (`nf_conntrack_tcp_timeout_close`), in
/// which the kernel takes a new one between the same ports for that one, unless its own end has reset it.
enum KeptVerdicts {
    /// After rules were installed: what does not go to the agent yet is forgotten, and every TCP connection that is over,
    /// for one that goes to the agent may have been another's. In the network namespace of the calling thread.
    /// - Parameter facts: where only what the namespace itself sends is meant, and not what it forwards.
    static func turn(_ plan: CapturePlan, of facts: NamespaceFacts? = nil) throws {
        guard plan.outboundMode == .redirect else { return }
        let ports = plan.settings.ports
        let own = facts.map { Set($0.interfaces.map(\.address)) }
        try forget { entry in
            guard own?.contains(entry.original.source.address) ?? true else { return false }
            guard entry.transport == .udp else { return entry.isReset }
            return plan.capturesDNS && entry.original.destination.port == 53 && entry.reply.source.port != ports.dns
        }
    }

    /// After rules were removed, or turn nothing new: what still goes to the agent is forgotten.
    static func release(_ plan: CapturePlan) throws {
        guard plan.outboundMode == .redirect else { return }
        let ports = plan.settings.ports
        let own = CapturePlan.families.map(plan.place.address)
        try forget { entry in
            guard entry.transport == .udp else {
                return entry.isReset && entry.isTranslated && ports.all.contains(entry.reply.source.port)
            }
            return plan.capturesDNS && entry.reply.source.port == ports.dns
                && own.contains(entry.reply.source.address)
        }
    }

    private static func forget(_ isStale: (ConntrackEntry) -> Bool) throws {
        var conntrack = try ConntrackSocket()
        for flow in try conntrack.entries(where: isStale) { try conntrack.delete(flow) }
    }
}

extension ConntrackEntry {
    /// A TCP connection that was refused or reset: a last one of its packets, should it come, makes no difference.
    fileprivate var isReset: Bool { state == "CLOSE" }
    fileprivate var isTranslated: Bool { reply.source != original.destination }
}
