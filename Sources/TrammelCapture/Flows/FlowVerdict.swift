import TrammelCore

/// The protocol of a flow as metrics show it.
package enum FlowProtocol: String, Hashable, Sendable, CaseIterable {
    case tcp, udp, icmp, other

    init(number: UInt8) {
        switch number {
        case 6: self = .tcp
        case 17: self = .udp
        case 1, 58: self = .icmp
        default: self = .other
        }
    }
}

/// Why a flow of an attached workload was not carried by the agent. A fixed list, so that it may be a metric's label.
package enum PassReason: String, Hashable, Sendable, CaseIterable {
    /// The workload's settings leave it alone, by address or port.
    case excluded
    /// It began before the capture did.
    case older
    /// Conntrack met the connection in the middle: it is older than the tracking, or its entry was deleted.
    case midstream
    /// Its protocol is not captured: UDP other than DNS, ICMP, whatever else is on IP.
    case `protocol`
    /// Link-local or multicast, which mean something on one link only.
    case linkLocal = "link_local"
    /// Neither end is an address of the workload: it routes for somebody else, a container or a machine inside it.
    case forwarded
    /// Its capture is switched off for now: a bypass, or a detach that waits for connections to end.
    case bypassed
    /// The rules did not get hold of it, though they should have.
    case leak
}

/// What became of a flow, from what can be known without looking at sockets.
enum FlowVerdict: Hashable, Sendable {
    /// It goes to the agent.
    case captured
    /// It is one of the agent's own, carrying a call onward.
    case agents
    /// Within the namespace, which is not captured, and is nobody's business.
    case local
    /// A TCP connection from outside: whether the agent took it shows in the sockets and not in the tuple.
    case inbound
    case passed(TrafficDirection, PassReason)
    /// Should have been captured and bears no sign that it was.
    case suspect(TrafficDirection)
}

/// Judges flows by the plan that they fall under; pure.
struct FlowJudge: Hashable, Sendable {
    let plan: CapturePlan
    /// Every address of the namespace.
    var own: Set<IPAddress>
    /// On the host the workload's listeners have addresses that are no interface's.
    private let listeners: [IPAddress]
    private let older: Set<ConntrackEntry.Tuple>
    private let ports: Set<UInt16>

    init(plan: CapturePlan, own: Set<IPAddress>) {
        self.plan = plan
        self.own = own
        older = Set(plan.established)
        ports = Set(plan.settings.ports.all)
        listeners = plan.place.hostIndex == nil ? [] : CapturePlan.families.map(plan.place.address)
    }

    func isOwn(_ address: IPAddress) -> Bool {
        address.isLoopback || own.contains(address) || listeners.contains(address)
    }

    /// Of a tracked flow. Where nothing is redirected, and so nothing tracked by the rules, this says little of TCP.
    func verdict(_ flow: ConntrackFlow) -> FlowVerdict {
        let source = flow.original.source
        let destination = flow.original.destination
        // What came in from a container's interface is turned to the address of that one, and all else to loopback.
        if ports.contains(flow.reply.source.port), isOwn(flow.reply.source.address), flow.reply.source != destination {
            return .captured
        }
        let marks = plan.settings.marks
        if flow.mark & marks.mask == marks.own { return .agents }
        if plan.place.hostIndex != nil {
            if flow.mark == plan.ownerMark || flow.mark == plan.datagramOwnerMark { return .captured }
            if flow.mark & marks.mask == marks.upstream { return .agents }
        }
        let fromHere = isOwn(source.address)
        if isOwn(destination.address) {
            guard !fromHere else { return .local }
            return verdict(flow, .inbound, local: destination, remote: source)
        }
        guard fromHere else { return .passed(.outbound, .forwarded) }
        return verdict(flow, .outbound, local: source, remote: destination)
    }

    private func verdict(
        _ flow: ConntrackFlow, _ direction: TrafficDirection, local: IPEndpoint, remote: IPEndpoint
    ) -> FlowVerdict {
        let kind = FlowProtocol(number: flow.transport)
        if Self.isOfOneLink(remote.address) || Self.isOfOneLink(local.address) {
            return .passed(direction, .linkLocal)
        }
        switch kind {
        case .udp where direction == .outbound && remote.port == 53 && plan.capturesDNS:
            return .suspect(direction)
        case .udp where direction == .outbound && plan.place.hostIndex == nil && plan.turns(datagramsTo: remote):
            // Packet by packet, of which the tuple says nothing.
            return .captured
        case .udp, .icmp, .other:
            return .passed(direction, .protocol)
        case .tcp:
            if let reason = exemption(direction, local: local, remote: remote) { return .passed(direction, reason) }
            if !flow.beganWithSYN { return .passed(direction, .midstream) }
            return direction == .inbound ? .inbound : .suspect(direction)
        }
    }

    /// What the rules leave alone for its address. IPv4's link-local block they do not: clouds serve there.
    private static func isOfOneLink(_ address: IPAddress) -> Bool {
        address.isMulticast || (address.family == .v6 && address.isLinkLocal)
    }

    /// Why a TCP connection between these is left alone; nil where it is to be captured.
    func exemption(_ direction: TrafficDirection, local: IPEndpoint, remote: IPEndpoint) -> PassReason? {
        if Self.isOfOneLink(remote.address) { return .linkLocal }
        let tuple = ConntrackEntry.Tuple(source: local, destination: remote)
        if older.contains(tuple) { return .older }
        if direction == .outbound, remote.port == 53, plan.capturesDNS { return nil }
        return plan.request.leavesAlone(direction, local: local, remote: remote) ? .excluded : nil
    }
}

extension CapturePlan {
    /// Whether what the workload sends there first goes to the agent, as far as can be known without its interface.
    fileprivate func turns(datagramsTo remote: IPEndpoint) -> Bool {
        turnsDatagrams && ![53, 67, 547].contains(remote.port) && !request.leavesAlone(datagramsTo: remote)
    }
}

extension CaptureRequest {
    /// As the rules have it for UDP, to which what is included by port says nothing.
    fileprivate func leavesAlone(datagramsTo remote: IPEndpoint) -> Bool {
        if excludedOutboundPorts.contains(remote.port) || !excludedOutboundInterfaces.isEmpty { return true }
        if excludedOutbound.contains(where: { $0.contains(remote.address) }) { return true }
        guard includedOutboundPorts.isEmpty else { return false }
        if !includedOutboundInterfaces.isEmpty { return true }
        return !includedOutbound.isEmpty && !includedOutbound.contains { $0.contains(remote.address) }
    }

    /// Whether what was asked for at attach leaves a TCP connection alone. As the rules say it, in their order; a choice
    /// by interface is taken for one that does, since a flow does not tell its interface.
    func leavesAlone(_ direction: TrafficDirection, local: IPEndpoint, remote: IPEndpoint) -> Bool {
        switch direction {
        case .outbound:
            if excludedOutboundPorts.contains(remote.port) || !excludedOutboundInterfaces.isEmpty { return true }
            if excludedOutbound.contains(where: { $0.contains(remote.address) }) { return true }
            guard !includedOutbound.isEmpty || !includedOutboundPorts.isEmpty || !includedOutboundInterfaces.isEmpty
            else { return false }
            return !includedOutboundPorts.contains(remote.port)
                && !includedOutbound.contains { $0.contains(remote.address) }
        case .inbound:
            return excludedInboundPorts.contains(local.port) || !excludedInboundInterfaces.isEmpty
                || excludedInboundSources.contains { $0.contains(remote.address) }
                || (!includedInboundPorts.isEmpty && !includedInboundPorts.contains(local.port))
                || (!includedInboundSources.isEmpty && !includedInboundSources.contains { $0.contains(remote.address) })
                || !includedInboundInterfaces.isEmpty
        }
    }
}
