import TrammelCore

/// UDP flows keep the verdict of their first packet for as long as conntrack knows them, so a resolver that was asked
/// before capture began would go on being asked directly, and the other way round afterwards.
enum DatagramFlows {
    /// After rules were installed: DNS flows that do not go to the agent yet are forgotten. In the network namespace
    /// of the calling thread.
    /// - Parameter facts: where only what the namespace itself sends is meant, and not what it forwards.
    static func turn(_ plan: CapturePlan, of facts: NamespaceFacts? = nil) throws {
        guard plan.capturesDNS, plan.outboundMode == .redirect else { return }
        let port = plan.settings.ports.dns
        let own = facts.map { Set($0.interfaces.map(\.address)) }
        try forget {
            $0.original.destination.port == 53 && $0.reply.source.port != port
                && own?.contains($0.original.source.address) ?? true
        }
    }

    /// After rules were removed: flows that still go to the agent are forgotten.
    static func release(_ plan: CapturePlan) throws {
        guard plan.capturesDNS, plan.outboundMode == .redirect else { return }
        let port = plan.settings.ports.dns
        let own = CapturePlan.families.map(plan.place.address)
        try forget { $0.reply.source.port == port && own.contains($0.reply.source.address) }
    }

    private static func forget(_ isStale: (ConntrackEntry) -> Bool) throws {
        var conntrack = try ConntrackSocket()
        for flow in try conntrack.entries(where: { $0.transport == .udp && isStale($0) }) {
            try conntrack.delete(flow)
        }
    }
}
