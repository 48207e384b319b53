import ArgumentParser
import TrammelCore

/// What of a workload's traffic is captured.
struct ScopeOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp("Leave traffic to these addresses alone. May be given many times.", valueName: "cidr"))
    var excludeOutboundCidr: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp("Leave traffic to this port alone, 1-65535. May be given many times.", valueName: "port"))
    var excludeOutboundPort: [UInt16] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Leave traffic that leaves by this interface alone. It need not exist yet. May be given many times.",
            valueName: "interface"))
    var excludeOutboundInterface: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Capture traffic to these addresses, and what else is included, and no other. May be given many times.",
            valueName: "cidr"))
    var includeOutboundCidr: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Capture traffic to this port, 1-65535, and what else is included, and no other. May be given many "
                + "times.",
            valueName: "port"))
    var includeOutboundPort: [UInt16] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Capture traffic that leaves by this interface, and what else is included, and no other. May be given many "
                + "times.",
            valueName: "interface"))
    var includeOutboundInterface: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Leave connections from these addresses alone: probers off the node. May be given many times.",
            valueName: "cidr"))
    var excludeInboundCidr: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Leave connections to this port of the workload alone, 1-65535. May be given many times.",
            valueName: "port"))
    var excludeInboundPort: [UInt16] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Leave connections that come in by this interface alone. It need not exist yet. May be given many times.",
            valueName: "interface"))
    var excludeInboundInterface: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Capture connections from these addresses and from no other. May be given many times.",
            valueName: "cidr"))
    var includeInboundCidr: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Capture connections to this port of the workload and to no other, 1-65535. May be given many times.",
            valueName: "port"))
    var includeInboundPort: [UInt16] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Capture connections that come in by this interface and no other. May be given many times.",
            valueName: "interface"))
    var includeInboundInterface: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "What comes in by this interface is the workload's own outbound traffic: that of virtual machines and "
                + "containers inside it. It need not exist yet. May be given many times.",
            valueName: "interface"))
    var outboundFromInterface: [String] = []

    @Option(
        name: .long,
        help: """
            UDP other than DNS, outbound: pass lets it go; policy lets out what --udp-allow names and has the kernel \
            refuse the rest at once; proxy has the agent carry each flow, to services by their VIPs too. Answers to \
            whoever has sent first always go out.
            """)
    var udp: CaptureScope.UDPChoice = .pass

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Where UDP may go under --udp policy: 10.0.0.0/8, 10.0.0.0/8:123, [fd00::/8]:123. May be given many times.",
            valueName: "cidr[:port]"))
    var udpAllow: [String] = []

    @Option(
        name: .long,
        help: """
            QUIC: pass treats it as other UDP; refuse makes clients take TCP at once: UDP to port 443 is refused, under \
            --udp proxy whatever begins as QUIC, to any port.
            """)
    var quic: CaptureScope.QUICChoice = .pass

    var scope: CaptureScope {
        var scope = CaptureScope()
        scope.excludeOutboundCIDRs = excludeOutboundCidr
        scope.excludeOutboundPorts = excludeOutboundPort
        scope.excludeOutboundInterfaces = excludeOutboundInterface
        scope.includeOutboundCIDRs = includeOutboundCidr
        scope.includeOutboundPorts = includeOutboundPort
        scope.includeOutboundInterfaces = includeOutboundInterface
        scope.excludeInboundCIDRs = excludeInboundCidr
        scope.excludeInboundPorts = excludeInboundPort
        scope.excludeInboundInterfaces = excludeInboundInterface
        scope.includeInboundCIDRs = includeInboundCidr
        scope.includeInboundPorts = includeInboundPort
        scope.includeInboundInterfaces = includeInboundInterface
        scope.outboundFromInterfaces = outboundFromInterface
        scope.udp = udp
        scope.udpAllow = udpAllow
        scope.quic = quic
        return scope
    }
}

extension CaptureScope.UDPChoice: ExpressibleByArgument {}
extension CaptureScope.QUICChoice: ExpressibleByArgument {}
