import TrammelCore

/// The sets of a workload: members are looked up by hash or tree, so a packet's cost does not grow with their number.
extension CapturePlan {
    enum SetName {
        static let outboundExcluded = "outbound_excluded"
        static let outboundIncluded = "outbound_included"
        static let outboundExcludedPorts = "outbound_excluded_ports"
        static let outboundIncludedPorts = "outbound_included_ports"
        static let outboundExcludedInterfaces = "outbound_excluded_interfaces"
        static let outboundIncludedInterfaces = "outbound_included_interfaces"
        static let inboundIncluded = "inbound_included"
        static let inboundExcludedInterfaces = "inbound_excluded_interfaces"
        static let inboundIncludedInterfaces = "inbound_included_interfaces"
        static let outboundFrom = "outbound_from"
        static let inboundExcluded = "inbound_excluded"
        static let inboundExcludedPorts = "inbound_excluded_ports"
        static let inboundIncludedPorts = "inbound_included_ports"
        static let established = "established"
        static let carried = "carried"
    }

    var sets: [NftSet] {
        var sets: [NftSet] = []
        func add(_ name: String, blocks: [CIDR]) {
            guard !blocks.isEmpty else { return }
            for family in CapturePlan.families {
                sets.append(NftSet(name: named(family, name), members: .blocks(family, blocks)))
            }
        }
        func add(_ name: String, ports: [UInt16]) {
            if !ports.isEmpty { sets.append(NftSet(name: named(name), members: .ports(ports))) }
        }
        func add(_ name: String, interfaces: [String]) {
            if !interfaces.isEmpty { sets.append(NftSet(name: named(name), members: .interfaces(interfaces))) }
        }
        func add(_ name: String, connections: [ConntrackEntry.Tuple]) {
            for family in CapturePlan.families {
                let ours = connections.filter { $0.source.address.family == family }
                sets.append(NftSet(name: named(family, name), members: .connections(family, ours)))
            }
        }
        if phase == .draining, !isSettling {
            if !carriedFamilies.isEmpty { add(SetName.carried, connections: carried) }
            add(SetName.outboundFrom, interfaces: request.outboundFromInterfaces)
            return sets
        }
        add(SetName.outboundExcluded, blocks: request.excludedOutbound)
        add(SetName.outboundExcludedPorts, ports: request.excludedOutboundPorts)
        add(SetName.outboundIncluded, blocks: request.includedOutbound)
        add(SetName.outboundIncludedPorts, ports: request.includedOutboundPorts)
        add(SetName.inboundExcluded, blocks: request.excludedInboundSources)
        add(SetName.inboundExcludedPorts, ports: request.excludedInboundPorts)
        add(SetName.inboundIncludedPorts, ports: request.includedInboundPorts)
        add(SetName.inboundIncluded, blocks: request.includedInboundSources)
        add(SetName.outboundFrom, interfaces: request.outboundFromInterfaces)
        add(SetName.outboundExcludedInterfaces, interfaces: request.excludedOutboundInterfaces)
        add(SetName.outboundIncludedInterfaces, interfaces: request.includedOutboundInterfaces)
        add(SetName.inboundExcludedInterfaces, interfaces: request.excludedInboundInterfaces)
        add(SetName.inboundIncludedInterfaces, interfaces: request.includedInboundInterfaces)
        if outboundMode == .tproxy, place.hostIndex == nil, !established.isEmpty {
            add(SetName.established, connections: established)
        }
        if !carriedFamilies.isEmpty { add(SetName.carried, connections: carried) }
        return sets + datagramSets
    }
}
