/// What of a workload's traffic is captured, as people ask for it: the fields of `POST /v1/workloads`, of the resource
/// `Workload` and the flags of `trammel attach`, which all bear these names. What is excluded stays excluded, whatever
/// is included.
package struct CaptureScope: Codable, Hashable, Sendable {
    /// Destinations that are left alone: blocks, or single addresses.
    package var excludeOutboundCIDRs: [String] = []
    /// Destination ports that are left alone, 1 to 65535; 53 leaves DNS alone too.
    package var excludeOutboundPorts: [UInt16] = []
    /// Connections that leave by these interfaces are left alone.
    package var excludeOutboundInterfaces: [String] = []
    /// With any of the three given, only outbound connections to one of the blocks, to one of the ports or by one of
    /// the interfaces are captured.
    package var includeOutboundCIDRs: [String] = []
    package var includeOutboundPorts: [UInt16] = []
    package var includeOutboundInterfaces: [String] = []

    /// Clients whose connections to the workload are left alone, such as probers off the node.
    package var excludeInboundCIDRs: [String] = []
    package var excludeInboundPorts: [UInt16] = []
    package var excludeInboundInterfaces: [String] = []
    /// With any given, only connections that fit every kind given are captured.
    package var includeInboundCIDRs: [String] = []
    package var includeInboundPorts: [UInt16] = []
    package var includeInboundInterfaces: [String] = []

    /// What comes in by these interfaces is outbound traffic of the workload: of virtual machines and containers that
    /// live inside its network namespace.
    package var outboundFromInterfaces: [String] = []

    /// What becomes of UDP other than DNS.
    package enum UDPChoice: String, Codable, Hashable, Sendable, CaseIterable {
        /// It goes where it was going.
        case pass
        /// Only what `udpAllow` names goes out; the kernel refuses the rest.
        case policy
        /// Each flow is carried by the agent.
        case proxy
    }
    package var udp = UDPChoice.pass
    /// `block` or `block:port` (`[block]:port` for IPv6) that UDP may be sent to under `policy`.
    package var udpAllow: [String] = []

    package enum QUICChoice: String, Codable, Hashable, Sendable, CaseIterable {
        /// As `udp` says.
        case pass
        /// Refused at once, so that clients take TCP.
        case refuse
    }
    package var quic = QUICChoice.pass

    package init() {}

    /// Begins with nothing said, and `fill` says it.
    package init(_ fill: (inout CaptureScope) -> Void) {
        self.init()
        fill(&self)
    }

    /// Every field may be left out.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        // Decoded as wide integers first: the decoder calls a number out of range malformed JSON and names no member.
        func ports(_ key: CodingKeys) throws -> [UInt16] {
            try (container.decodeIfPresent([Int].self, forKey: key) ?? []).map { number in
                guard let port = UInt16(exactly: number) else {
                    throw DecodingError.dataCorruptedError(
                        forKey: key, in: container, debugDescription: "\(number) is not a port, 1 to 65535")
                }
                return port
            }
        }
        func texts(_ key: CodingKeys) throws -> [String] {
            try container.decodeIfPresent([String].self, forKey: key) ?? []
        }
        excludeOutboundCIDRs = try texts(.excludeOutboundCIDRs)
        excludeOutboundPorts = try ports(.excludeOutboundPorts)
        excludeOutboundInterfaces = try texts(.excludeOutboundInterfaces)
        includeOutboundCIDRs = try texts(.includeOutboundCIDRs)
        includeOutboundPorts = try ports(.includeOutboundPorts)
        includeOutboundInterfaces = try texts(.includeOutboundInterfaces)
        excludeInboundCIDRs = try texts(.excludeInboundCIDRs)
        excludeInboundPorts = try ports(.excludeInboundPorts)
        excludeInboundInterfaces = try texts(.excludeInboundInterfaces)
        includeInboundCIDRs = try texts(.includeInboundCIDRs)
        includeInboundPorts = try ports(.includeInboundPorts)
        includeInboundInterfaces = try texts(.includeInboundInterfaces)
        outboundFromInterfaces = try texts(.outboundFromInterfaces)
        udp = try container.decodeIfPresent(UDPChoice.self, forKey: .udp) ?? .pass
        udpAllow = try texts(.udpAllow)
        quic = try container.decodeIfPresent(QUICChoice.self, forKey: .quic) ?? .pass
    }

    package enum CodingKeys: String, CodingKey, CaseIterable {
        case excludeOutboundCIDRs, excludeOutboundPorts, excludeOutboundInterfaces
        case includeOutboundCIDRs, includeOutboundPorts, includeOutboundInterfaces
        case excludeInboundCIDRs, excludeInboundPorts, excludeInboundInterfaces
        case includeInboundCIDRs, includeInboundPorts, includeInboundInterfaces
        case outboundFromInterfaces, udp, udpAllow, quic
    }
}
