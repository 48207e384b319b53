import TrammelCapture
import TrammelControlAPI
import TrammelCore
import TrammelPolicy
import TrammelProxy

/// A workload as the agent keeps it: what was asked for, what was found, and who carries its traffic.
struct Attachment: Sendable {
    let request: AttachRequest
    let opened: OpenedWorkload
    let workload: TrammelProxy.AttachedWorkload
    let attachedAt: WallTime

    var name: WorkloadName { workload.identity.name }
    var id: WorkloadID { workload.id }

    var facts: WorkloadFacts {
        WorkloadFacts(id: id, identity: workload.identity, addresses: opened.facts.addresses)
    }

    /// As the control API tells of it.
    func described(connections: Int) -> TrammelControlAPI.AttachedWorkload {
        TrammelControlAPI.AttachedWorkload(
            namespace: name.namespace, name: name.name, serviceAccount: workload.identity.serviceAccount,
            labels: workload.identity.labels, target: "netns \(request.netns ?? opened.namespace.path)",
            captureMode: opened.plan.outboundMode.rawValue, captureReason: opened.modeReason,
            failureMode: request.failureMode.rawValue, addresses: opened.facts.addresses.map(\.description),
            connections: connections, attachedAt: Timestamp(attachedAt))
    }
}

extension AttachRequest {
    /// What Capture is asked for. The request has been checked.
    func captureRequest() throws -> CaptureRequest {
        guard includeOutboundCIDRs.isEmpty, includeOutboundPorts.isEmpty, includeInboundPorts.isEmpty else {
            throw TrammelError(
                .unimplemented, code: "not-built-yet", "attaching with --include-…: not built yet",
                hint: "leave out what is not to be captured with --exclude-outbound-cidr, --exclude-outbound-port")
        }
        guard failureMode == .closed else {
            throw TrammelError(
                .unimplemented, code: "not-built-yet", "attaching with --failure-mode open: not built yet",
                hint: "attach with --failure-mode closed, the default")
        }
        var capture = CaptureRequest(target: target, mode: CaptureMode(rawValue: captureMode.rawValue))
        capture.capturesDNS = true
        capture.excludedOutbound = excludeOutboundCIDRs.compactMap { CIDR($0) }
        capture.excludedOutboundPorts = excludeOutboundPorts
        capture.excludedInboundPorts = excludeInboundPorts
        return capture
    }

    private var target: NetworkNamespace.Target {
        if let pid { return .pid(pid) }
        let netns = netns ?? ""
        return netns.hasPrefix("/") ? .path(netns) : .name(netns)
    }

    var identity: WorkloadIdentity {
        WorkloadIdentity(
            name: WorkloadName(namespace: namespace, name: name), serviceAccount: serviceAccount, labels: labels)
    }
}
