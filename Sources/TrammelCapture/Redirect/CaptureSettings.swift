package import TrammelCore

/// The ports of the capture listeners; Istio's numbers by default.
package struct CapturePorts: Hashable, Sendable {
    package var outbound: UInt16 = 15001
    package var inbound: UInt16 = 15006
    /// UDP and TCP.
    package var dns: UInt16 = 15053

    package init() {}

    package var all: [UInt16] { [outbound, inbound, dns] }
}

/// What holds for every workload of an agent: ports, marks, ranges. All settable; the defaults are the contract's.
package struct CaptureSettings: Hashable, Sendable {
    /// Packet marks, all within `mask`; the other bits are left to others.
    package struct Marks: Hashable, Sendable {
        /// The agent's sockets towards an application; replies bear it too (`tcp_fwmark_accept`), and it routes to lo.
        package var upstream: UInt32
        /// Packets of an application that go to the agent under tproxy; routes to lo.
        package var outbound: UInt32
        /// Inbound connections that are passed by uncaptured, so that their replies are known. Routes nowhere.
        package var passed: UInt32
        /// Packets that iptables is to refuse, on their way to the one table that can. Routes nowhere.
        package var refused: UInt32
        /// Of conntrack's entries and not of packets: the agent's own flows, where redirect has flows tracked, so that
        /// the accounting knows them. Routes nowhere.
        package var own: UInt32
        /// Datagrams of an application that the agent carries; routes to lo. Apart from `outbound`, under which DNS goes:
        /// by the time they come back, a NAT of the namespace's own may have changed their ports.
        package var datagrams: UInt32
        /// Packets of machines inside a network namespace that go to the agent. Routes to lo where they come in by the
        /// interfaces that lead to those machines, and nowhere on the way back.
        package var inside: UInt32
        package var mask: UInt32

        package init(
            upstream: UInt32 = 0x539, outbound: UInt32 = 0x222, passed: UInt32 = 0x53A, refused: UInt32 = 0x53B,
            own: UInt32 = 0x53C,
            datagrams: UInt32 = 0x223, inside: UInt32 = 0x224,
            mask: UInt32 = 0xFFF
        ) {
            self.upstream = upstream
            self.outbound = outbound
            self.datagrams = datagrams
            self.passed = passed
            self.inside = inside
            self.refused = refused
            self.own = own
            self.mask = mask
        }
    }

    package var ports = CapturePorts()
    /// What is to hold the rules.
    package var backend = CaptureBackendChoice.auto
    /// The variant of iptables, where that is what holds them; nil to join the one that a namespace uses already.
    var iptablesVariant: IptablesVariant?
    package var marks = Marks()
    /// The routing table whose only route is "local, everything".
    package var routingTable: UInt32 = 133
    /// The preference of the rules that lead to it.
    package var rulePreference: UInt32 = 100
    /// Where virtual addresses of services come from; a workload's namespace needs a route that covers them.
    package var virtualRanges: [CIDR] = [CIDR("240.240.0.0/16"), CIDR("2001:2::/48")].compactMap { $0 }
    /// Connections that wait to be accepted, per listener; the kernel caps it at net.core.somaxconn.
    package var backlog: Int32 = 4096

    package init() {}
}

/// What to capture of a workload, as asked for at attach.
package struct CaptureRequest: Hashable, Sendable {
    package enum FailureMode: String, Hashable, Sendable, CaseIterable {
        /// Without an agent, new connections are refused.
        case closed
        /// Without an agent, connections go where they were going.
        case open
    }

    package var target: CaptureTarget
    /// How outbound connections are captured; nil to let the agent choose.
    package var mode: CaptureMode?
    package var failureMode: FailureMode = .closed
    /// Whether DNS (port 53, UDP and TCP) is turned to the agent, which then must answer it.
    package var capturesDNS = false

    /// Outbound connections that are left alone, by destination.
    package var excludedOutbound: [CIDR] = []
    /// 53 here leaves DNS alone too.
    package var excludedOutboundPorts: [UInt16] = []
    /// With any of these given, only outbound connections to one of the blocks or one of the ports are captured.
    /// What is excluded as well stays excluded.
    package var includedOutbound: [CIDR] = []
    package var includedOutboundPorts: [UInt16] = []
    /// Outbound connections that are left alone, by the interface that they leave by. It need not be there yet.
    package var excludedOutboundInterfaces: [String] = []
    /// As the other two of what is included: what leaves by one of these is captured.
    package var includedOutboundInterfaces: [String] = []

    /// Inbound connections that are left alone.
    package var excludedInboundPorts: [UInt16] = []
    /// Clients off the node that are left alone: a kubelet's or load balancer's health probes.
    package var excludedInboundSources: [CIDR] = []
    /// With any given, only these ports are captured inbound.
    package var includedInboundPorts: [UInt16] = []
    package var excludedInboundInterfaces: [String] = []
    /// With any given, only clients in these blocks are captured; likewise what comes in by these interfaces.
    package var includedInboundSources: [CIDR] = []
    package var includedInboundInterfaces: [String] = []
    /// What comes in by these interfaces and goes on is outbound traffic of the workload: that of machines and
    /// containers which live inside its network namespace. From any other it is passed on untouched.
    package var outboundFromInterfaces: [String] = []

    /// What becomes of UDP other than DNS.
    package var udp = CaptureScope.UDPChoice.pass
    /// Where it may go, of what is not an answer, under `policy`.
    package var udpAllowed: [DatagramDestination] = []
    /// Whether QUIC is refused; under `proxy` the agent refuses it by itself.
    package var quic = CaptureScope.QUICChoice.pass

    package init(target: CaptureTarget, mode: CaptureMode? = nil) {
        self.target = target
        self.mode = mode
    }

    package init(target: NetworkNamespace.Target, mode: CaptureMode? = nil) {
        self.init(target: .namespace(target), mode: mode)
    }
}
