import TrammelCore

/// One cgroup or user of the host as its table knows it: what selects its packets, and the chains that judge them.
///
/// A class, since there may be hundreds and each change of one goes over all of them.
final class HostMember: Sendable {
    enum Selector: Hashable, Sendable {
        case cgroup(CgroupReference)
        /// - ports: those that sockets of the user's alone listen on, for the kernel cannot tell a listener's user.
        case user(UInt32, ports: [UInt16])
    }

    /// Stands where the host's table has room for it.
    let plan: CapturePlan
    let selector: Selector
    /// Only its connections under way are its own still: nothing new is looked up for it.
    let isLeaving: Bool
    let index: UInt32
    let ownerMark: UInt32
    /// Of its plan; kept, since they are asked for whenever any member changes.
    let sets: [NftSet]
    let inbound: NftChain
    let outbound: NftChain
    /// Where its mode needs them: what hands packets over that were turned to lo, and what turns them.
    let turned: [NftChain]
    /// Where anything that comes in is passed by.
    let passed: NftChain?
    /// Under redirect, what sees all of its packets, and judges its datagrams: NAT sees the first of a flow only, and
    /// can refuse none.
    let routed: NftChain?

    /// The marks of its connections and flows that were turned to lo, and the chains that know what to do with them.
    let owned: [(mark: UInt32, chain: String)]

    /// Nil for a plan that is not of the host.
    init?(_ plan: CapturePlan, _ selector: Selector, isLeaving: Bool = false) {
        guard let index = plan.place.hostIndex, let ownerMark = plan.ownerMark else { return nil }
        self.plan = plan
        self.selector = selector
        self.isLeaving = isLeaving
        self.index = index
        self.ownerMark = ownerMark
        sets = plan.sets
        inbound = NftChain(name: plan.named("in"), rules: plan.inboundRules)
        let isRedirect = plan.outboundMode == .redirect
        outbound = NftChain(
            name: plan.named("out"), rules: (isRedirect ? [] : plan.notAnothers + plan.belonging) + plan.outboundRules)
        routed =
            isRedirect
            ? NftChain(name: plan.named("routed"), rules: plan.notAnothers + plan.belonging + plan.datagramRules) : nil
        turned = plan.datagramChains + (isRedirect ? [] : [plan.fromApplication, plan.claim])
        passed = plan.phase == .draining || !plan.inboundExemptions.isEmpty ? plan.passedChain : nil
        var owned: [(mark: UInt32, chain: String)] = []
        if plan.outboundMode == .tproxy { owned.append((ownerMark, plan.named("from_app"))) }
        if plan.turnsDatagrams, let mark = plan.datagramOwnerMark {
            owned.append((mark, plan.named("datagrams_in")))
        }
        self.owned = owned
    }

    /// Whether its rules stand in the table that goes with the agent: while it is let past, nothing depends on the agent.
    var isOwned: Bool { !plan.closed && plan.phase == .capturing }

    var identity: CaptureIdentity {
        switch selector {
        case .cgroup(let cgroup): .cgroup(cgroup.path)
        case .user(let user, _): .user(user)
        }
    }
}
