import TrammelCapture
import TrammelControlAPI

/// Of what others have made of the network.
extension DoctorChecks {
    /// - Parameter workload: nil for the node's own namespace.
    /// - Parameter isBridged: packets between pods pass the node's hooks.
    static func otherTools(_ workload: String?, _ tools: OtherTools, isBridged: Bool = false) -> [DoctorCheck] {
        let names = tools.found.keys.sorted()
        let list = names.map { "\($0) (\(summary(tools.found[$0] ?? [])))" }.joined(separator: ", ")
        var checks: [DoctorCheck] = []
        let rivals = names.filter(tools.rivals.contains)
        if !rivals.isEmpty, workload != nil {
            let found = rivals.map { "\($0) (\(summary(tools.found[$0] ?? [])))" }.joined(separator: ", ")
            checks.append(
                DoctorCheck(
                    "other tools", workload, .warning, "rules of another mesh: \(found); expected none",
                    meaning: "Both capture the same connections: what one lets through the other takes.",
                    advice:
                        "take it out of one of the two meshes: `trammel detach \(workload ?? "")`, or the other's own way"
                ))
        } else {
            checks.append(
                DoctorCheck(
                    "other tools", workload, .ok,
                    names.isEmpty
                        ? "no rules of firewalls, container engines or other meshes that are known by name"
                        : "rules of \(list) are there too; Trammel's are in a table of their own, and capture works beside them"
                ))
        }
        if isBridged, workload == nil, !tools.closedForward.isEmpty {
            checks.append(
                DoctorCheck(
                    "forwarding", .warning,
                    "the chain FORWARD (\(tools.closedForward.joined(separator: ", "))) drops what no rule accepts, and "
                        + "bridged packets pass it (bridge-nf-call-iptables is 1)",
                    meaning: "Calls between pods on a bridge that nobody has told the firewall of are lost.",
                    advice: "accept them (with Docker: iptables -I DOCKER-USER -i BRIDGE -o BRIDGE -j ACCEPT), or: "
                        + "sysctl -w net.bridge.bridge-nf-call-iptables=0"))
        }
        return checks
    }

    /// The first few.
    private static func summary(_ places: [String]) -> String {
        let more = places.count > 2 ? " and \(places.count - 2) more" : ""
        return places.sorted().prefix(2).joined(separator: ", ") + more
    }

    static func linkSizes(_ workload: String, _ sizes: LinkSizes, hasIPv6: Bool) -> [DoctorCheck] {
        var checks: [DoctorCheck] = []
        for pair in sizes.pairs {
            let own = pair.own
            if let peer = pair.peer, peer.mtu != own.mtu {
                let (longer, shorter) = own.mtu > peer.mtu ? (own, peer) : (peer, own)
                checks.append(
                    DoctorCheck(
                        "mtu", workload, .warning,
                        "\(own.name) takes packets of \(own.mtu) bytes, its other end \(peer.name) on the node "
                            + "\(peer.mtu); expected the same",
                        meaning: "Longer packets that \(longer.name) sends are dropped without a word: calls hang.",
                        advice: "ip link set \(longer.name) mtu \(shorter.mtu), in the namespace that it is in"))
            } else if let uplink = sizes.uplink, own.mtu > uplink.mtu {
                checks.append(
                    DoctorCheck(
                        "mtu", workload, .warning,
                        "\(own.name) takes packets of \(own.mtu) bytes, the node's uplink \(uplink.name) \(uplink.mtu); "
                            + "expected \(uplink.mtu) at most",
                        meaning: "What leaves the node is broken up, or lost where ICMP is blocked on the way.",
                        advice: "in its network namespace: ip link set \(own.name) mtu \(uplink.mtu)"))
            } else if own.mtu < 1280, hasIPv6 {
                checks.append(
                    DoctorCheck(
                        "mtu", workload, .warning,
                        "\(own.name) takes packets of \(own.mtu) bytes; IPv6 needs 1280 (RFC 8200, section 5)",
                        meaning: "There is no IPv6 on it.",
                        advice: "in its network namespace: ip link set \(own.name) mtu 1280"))
            }
        }
        guard checks.isEmpty else { return checks }
        let list =
            sizes.pairs.map { "\($0.own.name) \($0.own.mtu)" }
            + (sizes.uplink.map { ["uplink \($0.name) \($0.mtu)"] } ?? [])
        return [
            DoctorCheck(
                "mtu", workload, .ok, list.isEmpty ? "no interface but loopback is up" : list.joined(separator: ", "))
        ]
    }
}
