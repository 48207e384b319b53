import TrammelCapture
import TrammelControlAPI
import TrammelCore
import TrammelPolicy
import TrammelProxy

/// A workload as the agent keeps it: what was asked for, what was found, and who carries its traffic.
struct Attachment: Sendable {
    var request: AttachRequest
    let opened: OpenedWorkload
    let workload: TrammelProxy.AttachedWorkload
    let attachedAt: WallTime
    /// What is true of its namespace, as far as is known now.
    var namespaceFacts: NamespaceFacts
    /// What leads to the namespace: as it was asked for, until a process by which it was attached ends and leaves
    /// others there.
    var reachedBy: NetworkNamespace.Target
    /// The Workload resource that asks for it; nil where somebody attached it.
    var declared: DeclaredWorkload?
    /// Where it is on the host itself; nil for one in a network namespace of its own.
    var host: HostPlace?

    init(
        request: AttachRequest, opened: OpenedWorkload, workload: TrammelProxy.AttachedWorkload, attachedAt: WallTime
    ) {
        self.request = request
        self.opened = opened
        self.workload = workload
        self.attachedAt = attachedAt
        namespaceFacts = opened.facts
        reachedBy = opened.namespace.target
    }

    var name: WorkloadName { workload.identity.name }
    var id: WorkloadID { workload.id }
    /// What it has in common with others, where its rules stand among theirs.
    var shared: WorkloadID? { host == nil ? nil : CaptureWatch.host }

    func facts(_ ports: PortReadiness) -> WorkloadFacts {
        WorkloadFacts(
            id: id, identity: workload.identity, addresses: namespaceFacts.addresses, notListening: ports.notListening,
            listeningElsewhere: ports.elsewhere, listeningInOtherFamily: ports.otherFamily,
            ports: declared?.ports ?? [:])
    }

    var target: String {
        if let host { return host.text }
        return switch reachedBy {
        case .pid(let pid): "pid \(pid)"
        case .name(let netns), .path(let netns): "netns \(netns)"
        }
    }

    /// As the control API tells of it.
    func described(connections: Int) -> TrammelControlAPI.AttachedWorkload {
        TrammelControlAPI.AttachedWorkload(
            namespace: name.namespace, name: name.name, serviceAccount: workload.identity.serviceAccount,
            labels: workload.identity.labels,
            target: target, state: host?.reason == nil ? .attached : .waiting, reason: host?.reason,
            captureMode: opened.plan.outboundMode.rawValue, captureReason: opened.modeReason,
            failureMode: request.failureMode.rawValue, addresses: namespaceFacts.addresses.map(\.description),
            connections: connections, attachedAt: Timestamp(attachedAt))
    }
}

extension AttachRequest {
    /// What Capture is asked for. The request has been checked.
    ///
    /// - Parameter mode: how traffic is captured where the request leaves that to the agent; nil: as the kernel can.
    /// - Throws: `unimplemented` for what the agent is to be able to do and is not yet.
    func captureRequest(mode: CaptureMode?) throws -> CaptureRequest {
        var capture = CaptureRequest(
            target: .namespace(namespaceTarget), mode: CaptureMode(rawValue: captureMode.rawValue) ?? mode)
        capture.capturesDNS = true
        capture.failureMode = failureMode == .open ? .open : .closed
        capture.excludedOutbound = scope.excludeOutboundCIDRs.compactMap { CIDR($0) }
        capture.excludedOutboundPorts = scope.excludeOutboundPorts
        capture.excludedOutboundInterfaces = scope.excludeOutboundInterfaces
        capture.includedOutbound = scope.includeOutboundCIDRs.compactMap { CIDR($0) }
        capture.includedOutboundPorts = scope.includeOutboundPorts
        capture.includedOutboundInterfaces = scope.includeOutboundInterfaces
        capture.excludedInboundSources = scope.excludeInboundCIDRs.compactMap { CIDR($0) }
        capture.excludedInboundPorts = scope.excludeInboundPorts
        capture.udp = scope.udp
        capture.udpAllowed = scope.udpAllow.compactMap { DatagramDestination($0) }
        capture.quic = scope.quic
        capture.excludedInboundInterfaces = scope.excludeInboundInterfaces
        capture.includedInboundSources = scope.includeInboundCIDRs.compactMap { CIDR($0) }
        capture.includedInboundPorts = scope.includeInboundPorts
        capture.includedInboundInterfaces = scope.includeInboundInterfaces
        capture.outboundFromInterfaces = scope.outboundFromInterfaces
        return capture
    }

    /// The namespace that is asked for, where one is.
    var namespaceTarget: NetworkNamespace.Target {
        if let pid { return .pid(pid) }
        let netns = netns ?? ""
        return netns.hasPrefix("/") ? .path(netns) : .name(netns)
    }

    /// What becomes of what is attached, whatever that is and whoever asks.
    var manner: AttachRequest {
        var manner = self
        (manner.netns, manner.pid, manner.unit, manner.cgroup, manner.uid) = (nil, nil, nil, nil, nil)
        (manner.killExisting, manner.force) = (false, false)
        return manner
    }

    var identity: WorkloadIdentity {
        WorkloadIdentity(
            name: WorkloadName(namespace: namespace, name: name), serviceAccount: serviceAccount, labels: labels)
    }
}
