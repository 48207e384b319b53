import TrammelCore

/// Decodes what a Workload says of the traffic to capture; the fields bear the names of the attach request.
enum CaptureScopeDecoding {
    static let fields = CaptureScope.CodingKeys.allCases.map(\.rawValue)

    static func decode(_ object: ObjectField) -> CaptureScope {
        CaptureScope { scope in
            scope.excludeOutboundCIDRs = blocks(object["excludeOutboundCIDRs"])
            scope.excludeOutboundPorts = ports(object["excludeOutboundPorts"])
            scope.excludeOutboundInterfaces = interfaces(object["excludeOutboundInterfaces"])
            scope.includeOutboundCIDRs = blocks(object["includeOutboundCIDRs"])
            scope.includeOutboundPorts = ports(object["includeOutboundPorts"])
            scope.includeOutboundInterfaces = interfaces(object["includeOutboundInterfaces"])
            scope.excludeInboundCIDRs = blocks(object["excludeInboundCIDRs"])
            scope.excludeInboundPorts = ports(object["excludeInboundPorts"])
            scope.excludeInboundInterfaces = interfaces(object["excludeInboundInterfaces"])
            scope.includeInboundCIDRs = blocks(object["includeInboundCIDRs"])
            scope.includeInboundPorts = ports(object["includeInboundPorts"])
            scope.includeInboundInterfaces = interfaces(object["includeInboundInterfaces"])
            scope.outboundFromInterfaces = interfaces(object["outboundFromInterfaces"])
            if let choice: CaptureScope.UDPChoice = choice(object["udp"]) { scope.udp = choice }
            scope.udpAllow = destinations(object["udpAllow"], scope.udp)
            if let choice: CaptureScope.QUICChoice = choice(object["quic"]) { scope.quic = choice }
            for contradiction in scope.contradictions {
                object[contradiction.field]?.error(
                    .badValue, "\(contradiction.value) is in \(contradiction.other) too; it cannot be both")
            }
        }
    }

    private static func interfaces(_ field: Field?) -> [String] {
        (field?.list() ?? []).compactMap { item in
            guard let name = item.string() else { return nil }
            if !CaptureScope.isInterface(name) {
                item.error(
                    .badValue, "found \(item.found); expected the name of a network interface, 15 bytes at most")
            }
            return name
        }
    }

    private static func blocks(_ field: Field?) -> [String] {
        (field?.list() ?? []).compactMap { item in
            guard let text = item.string() else { return nil }
            if CIDR(text) == nil {
                item.error(.badValue, "found \(item.found); expected an address or a block such as 10.1.0.0/16")
            }
            return text
        }
    }

    private static func choice<Choice: RawRepresentable & CaseIterable>(_ field: Field?) -> Choice?
    where Choice.RawValue == String {
        field?.oneOf(Choice.allCases.map(\.rawValue)).flatMap { Choice(rawValue: $0) }
    }

    private static func destinations(_ field: Field?, _ udp: CaptureScope.UDPChoice) -> [String] {
        guard let field else { return [] }
        if udp != .policy {
            field.error(.badValue, "udpAllow says where UDP may go under udp: policy, and udp is \(udp.rawValue)")
        }
        return (field.list() ?? []).compactMap { item in
            guard let text = item.string() else { return nil }
            if DatagramDestination(text) == nil {
                item.error(
                    .badValue,
                    "found \(item.found); expected a block such as 10.0.0.0/8, 10.0.0.0/8:123 or [fd00::/8]:123"
                )
            }
            return text
        }
    }

    private static func ports(_ field: Field?) -> [UInt16] {
        (field?.list() ?? []).compactMap { $0.port() }
    }
}
