import TrammelCore

/// One cgroup or user of the host as its table knows it: what selects its packets, and the chains that judge them.
struct HostMember: Hashable, Sendable {
    enum Selector: Hashable, Sendable {
        case cgroup(CgroupReference)
        /// - ports: those that sockets of the user's alone listen on, for the kernel cannot tell a listener's user.
        case user(UInt32, ports: [UInt16])
    }

    /// Stands where the host's table has room for it.
    let plan: CapturePlan
    var selector: Selector
    /// Only its connections under way are its own still: nothing new is looked up for it.
    var isLeaving = false
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

    /// Nil for a plan that is not of the host.
    init?(_ plan: CapturePlan, _ selector: Selector) {
        guard let index = plan.place.hostIndex, let ownerMark = plan.ownerMark else { return nil }
        self.plan = plan
        self.selector = selector
        self.index = index
        self.ownerMark = ownerMark
        sets = plan.sets
        inbound = NftChain(name: plan.named("in"), rules: plan.inboundRules)
        let isRedirect = plan.outboundMode == .redirect
        outbound = NftChain(
            name: plan.named("out"), rules: (isRedirect ? [] : plan.belonging) + plan.outboundRules)
        routed =
            isRedirect ? NftChain(name: plan.named("routed"), rules: plan.belonging + plan.datagramRules) : nil
        turned = plan.datagramChains + (isRedirect ? [] : [plan.fromApplication, plan.claim])
        passed = plan.phase == .draining || !plan.inboundExemptions.isEmpty ? plan.passedChain : nil
    }

    var identity: CaptureIdentity {
        switch selector {
        case .cgroup(let cgroup): .cgroup(cgroup.path)
        case .user(let user, _): .user(user)
        }
    }
}
