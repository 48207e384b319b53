/// What can be said of a scope without the kernel.
extension CaptureScope {
    /// The same thing included and excluded.
    package struct Contradiction: Hashable, Sendable {
        package let value: String
        package let field: String
        package let other: String
    }

    package var contradictions: [Contradiction] {
        func both<Value: Hashable>(_ included: [Value], _ field: CodingKeys, _ excluded: [Value], _ other: CodingKeys)
            -> [Contradiction]
        {
            let excluded = Set(excluded)
            return included.filter(excluded.contains).map {
                Contradiction(value: "\($0)", field: field.rawValue, other: other.rawValue)
            }
        }
        func blocks(_ texts: [String]) -> [CIDR] { texts.compactMap { CIDR($0) } }
        return both(
            blocks(includeOutboundCIDRs), .includeOutboundCIDRs, blocks(excludeOutboundCIDRs), .excludeOutboundCIDRs)
            + both(includeOutboundPorts, .includeOutboundPorts, excludeOutboundPorts, .excludeOutboundPorts)
            + both(
                includeOutboundInterfaces, .includeOutboundInterfaces, excludeOutboundInterfaces,
                .excludeOutboundInterfaces)
            + both(blocks(includeInboundCIDRs), .includeInboundCIDRs, blocks(excludeInboundCIDRs), .excludeInboundCIDRs)
            + both(includeInboundPorts, .includeInboundPorts, excludeInboundPorts, .excludeInboundPorts)
            + both(
                includeInboundInterfaces, .includeInboundInterfaces, excludeInboundInterfaces,
                .excludeInboundInterfaces)
    }

    /// What its author may not have meant: inclusions without effect, and directions of which nothing is captured.
    package var warnings: [String] {
        warnings(
            "outbound", includeOutboundCIDRs, excludeOutboundCIDRs,
            others: !includeOutboundPorts.isEmpty || !includeOutboundInterfaces.isEmpty)
            + warnings("inbound", includeInboundCIDRs, excludeInboundCIDRs, others: false)
    }

    private func warnings(
        _ direction: String, _ included: [String], _ excluded: [String], others: Bool
    ) -> [String] {
        let excluded = excluded.compactMap { CIDR($0) }
        let included = included.compactMap { CIDR($0) }
        func covering(_ block: CIDR) -> CIDR? {
            excluded.first { $0.prefixLength <= block.prefixLength && $0.contains(block.base) }
        }
        let idle = included.filter { covering($0) != nil }
        if !included.isEmpty, idle.count == included.count, !others {
            return ["no \(direction) connection is captured: all that is included is excluded"]
        }
        let everything = [IPAddress.Family.v4, .v6].filter { family in
            excluded.contains { $0.prefixLength == 0 && $0.base.family == family }
        }
        if everything.count == 2 { return ["no \(direction) connection is captured: every address is excluded"] }
        return everything.map {
            "no \(direction) connection over \($0 == .v4 ? "IPv4" : "IPv6") is captured: every address is excluded"
        }
            + idle.compactMap { block in
                covering(block).map { "including \(block) has no effect: \($0) is excluded" }
            }
    }

    /// As the kernel's dev_valid_name has it.
    package static func isInterface(_ name: String) -> Bool {
        let bytes = Array(name.utf8)
        return (1...15).contains(bytes.count) && name != "." && name != ".."
            && bytes.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: ":") }
    }
}
