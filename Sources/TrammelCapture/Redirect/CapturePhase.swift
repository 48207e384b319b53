import TrammelCore

/// Whether new connections of a workload come to the agent.
package enum CapturePhase: Hashable, Sendable {
    case capturing
    /// They go where they are going. Those that the agent carries keep coming to it until they end.
    case draining
}

/// What a workload's rules are while new connections go where they are going.
///
/// A connection in flight has to be kept together, and each way of capture has its own thread by which it hangs:
/// - redirect: NAT, by conntrack's entry. The kernel goes on rewriting its packets for as long as the namespace has a
///   NAT chain, even an empty one, and tracks, which takes a `ct` expression: one of the two alone resets it.
/// - tproxy: the mark, which each of its packets gets because its ends are in the sets `carried`.
/// - on the host: conntrack's mark, which is why nothing is listed there.
/// - inbound: nothing but its own socket, which the kernel finds by itself.
///
/// Calls that the agent carries on into the namespace need the routing and the sysctls, which stay.
extension CapturePlan {
    /// Of packets that the workload sends, by `.draining`.
    var drainingRules: [NftRule] {
        // A new connection may have the ends of one that has just ended.
        guard outboundMode == .tproxy, !carried.isEmpty else { return [] }
        return [NftRule(.tcpSYN, do: .accept)] + carriedRules
    }

    /// Packets of connections that the agent carries.
    var carriedRules: [NftRule] {
        carriedFamilies.map { family in
            NftRule(
                .connectionInSet(family, named(family, SetName.carried)), do: .setMark(mark(marks.outbound)), .accept,
                comment: "carried to its end")
        }
    }

    var carriedFamilies: [IPAddress.Family] {
        outboundMode == .tproxy && place.hostIndex == nil && !carried.isEmpty ? CapturePlan.families : []
    }

    /// The table of a network namespace of its own, by `.draining`.
    var drainingChains: [NftChain] {
        var chains = drainingBase
        guard capturesInside else { return chains }
        let way = NftRule(.interfaceInSet(.incoming, named(SetName.outboundFrom), true), do: .jump(fromInside.name))
        if let index = chains.firstIndex(where: { $0.hook?.point == .prerouting }) {
            chains[index].rules.insert(way, at: 1)
        } else {
            chains.append(
                NftChain(
                    name: "pre", hook: NftChain.Hook(kind: .filter, point: .prerouting, priority: -150), rules: [way]))
        }
        return [fromInside] + chains
    }

    private var drainingBase: [NftChain] {
        switch outboundMode {
        case .redirect:
            [
                NftChain(
                    name: "pre", hook: NftChain.Hook(kind: .filter, point: .prerouting, priority: -150),
                    rules: [
                        NftRule(.loopbackInterface(true), do: .accept),
                        NftRule(
                            .conntrackInvalid, do: .counter, .drop,
                            comment: "keeps connections under way tracked, too"),
                    ]),
                NftChain(name: "out", hook: NftChain.Hook(kind: .nat, point: .output, priority: -101)),
            ]
        case .tproxy:
            [
                NftChain(
                    name: "out", hook: NftChain.Hook(kind: .route, point: .output, priority: -150),
                    rules: drainingRules)
            ]
        }
    }
}
