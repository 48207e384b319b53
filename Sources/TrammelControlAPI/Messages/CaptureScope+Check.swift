import TrammelCore

extension CaptureScope {
    /// Judges what can be judged without the kernel: blocks, ports and names of interfaces.
    /// - Throws: `TrammelError` of kind `invalid` for the first that is none.
    package func check() throws {
        for block in excludeOutboundCIDRs + includeOutboundCIDRs + excludeInboundCIDRs + includeInboundCIDRs
        where CIDR(block) == nil {
            throw invalid(
                "cidr", "\"\(block)\" is not an address block", hint: "write address/length, for example 10.0.0.0/8")
        }
        for ports in [excludeOutboundPorts, excludeInboundPorts, includeOutboundPorts, includeInboundPorts]
        where ports.contains(0) {
            throw invalid("port", "0 is not a port", hint: "ports are 1 to 65535")
        }
        for destination in udpAllow where DatagramDestination(destination) == nil {
            throw invalid(
                "udp-allow", "\"\(destination)\" is not a block of addresses that UDP may be sent to",
                hint: "write 10.0.0.0/8, 10.0.0.0/8:123 or [fd00::/8]:123")
        }
        if !udpAllow.isEmpty, udp != .policy {
            throw invalid(
                "udp-allow", "udpAllow says where UDP may go under udp: policy, and udp is \(udp.rawValue)",
                hint: "ask for --udp policy, or leave --udp-allow out")
        }
        let interfaces =
            excludeOutboundInterfaces + includeOutboundInterfaces + excludeInboundInterfaces
            + includeInboundInterfaces + outboundFromInterfaces
        for name in interfaces where !CaptureScope.isInterface(name) {
            throw invalid(
                "interface", "\"\(name)\" is not the name of a network interface",
                hint: "give one that `ip link` lists, 15 bytes at most")
        }
        guard !outboundFromInterfaces.contains("lo") else {
            throw invalid(
                "interface", "what comes in by lo is the workload's own, not another's",
                hint: "give the interface that virtual machines or containers inside the workload are behind")
        }
        if let contradiction = contradictions.first {
            throw invalid(
                "contradiction",
                "\(contradiction.value) is in \(contradiction.field) and in \(contradiction.other): it cannot be both",
                hint: "what is excluded stays excluded, whatever is included; leave one of the two out")
        }
    }

    private func invalid(_ code: String, _ message: String, hint: String) -> TrammelError {
        TrammelError(.invalid, code: "attach-\(code)", message, hint: hint)
    }
}
