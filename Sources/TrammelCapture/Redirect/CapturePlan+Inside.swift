import TrammelCore

/// Traffic that passes through a network namespace: of virtual machines and containers inside it, which have networks of
/// their own behind interfaces such as tap0 or br0.
///
/// By itself it is nobody's: it is neither what the workload sends nor what it is sent, and goes on untouched. Where the
/// request names the interfaces that it comes in by, it counts as outbound traffic of the workload.
///
/// It is turned by tproxy in either mode, since NAT could only turn it to an address that the network can reach too. The
/// mark that leads it to lo does so by a routing rule for those interfaces alone: the accepted socket inherits the mark,
/// and its answers have to find the way out.
extension CapturePlan {
    var capturesInside: Bool { !request.outboundFromInterfaces.isEmpty }

    /// Where the listeners for it are: apart from those of redirect, which do not know what tproxy turns to them.
    var insidePlace: CapturePlace { outboundMode == .tproxy ? place : CapturePlace.host(1) }

    /// At the front of what arrives from elsewhere.
    var passingRules: [NftRule] {
        var rules: [NftRule] = []
        if capturesInside {
            rules.append(
                NftRule(
                    .interfaceInSet(.incoming, named(SetName.outboundFrom), true), do: .jump(fromInside.name)))
        }
        rules += senderRulesInside
        rules.append(NftRule(.foreignDestination, do: .accept, comment: "passes through"))
        return rules
    }

    /// Where flows are tracked, the accounting is to know those that go to the agent: their ends do not show it.
    func accounted(_ match: NftMatch) -> [NftRule] {
        outboundMode == .redirect ? [NftRule(match, do: .markFlow(mark(marks.own)))] : []
    }

    /// What comes from inside.
    var fromInside: NftChain {
        var chain = NftChain(name: named("from_inside"))
        chain.rules.append(NftRule(.localDestination, do: .accept))
        chain.rules += linkLocalExemption
        let turned = NftStatement.setMark(mark(marks.inside))
        // Connections that the agent carries, for as long as it does.
        chain.rules.append(NftRule(.tcpNotSYN, .socketTransparent, do: turned, .accept))
        guard phase == .capturing else { return chain }
        chain.rules.append(NftRule(.tcpNotSYN, do: .accept))
        for family in CapturePlan.families where capturesDNS {
            for match in [NftMatch.port(.destination, .udp, 53), .port(.destination, .tcp, 53)] {
                chain.rules.append(
                    NftRule(
                        .family(family), match,
                        do: .tproxy(insidePlace.address(family), port: settings.ports.dns), turned, .counter, .accept))
            }
        }
        if judgesDatagrams {
            chain.rules.append(NftRule(.transport(.udp), do: .jump(datagramsFromInside.name)))
        }
        chain.rules += exemptions(byInterface: false) + accounted(.tcpSYN)
        for family in CapturePlan.families {
            chain.rules.append(
                NftRule(
                    .family(family), .tcpSYN,
                    do: .tproxy(insidePlace.address(family), port: settings.ports.outbound), turned, .counter, .accept))
        }
        if closed {
            chain.rules.append(NftRule(.tcpSYN, do: .counter, .rejectWithReset, comment: "no agent: closed"))
        }
        return chain
    }
}
