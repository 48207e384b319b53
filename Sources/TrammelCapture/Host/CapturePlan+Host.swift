import TrammelCore

/// Where the rules of a plan differ between a network namespace of its own and the host's, which others share.
///
/// In a namespace of its own a packet can belong to one workload only. On the host a packet that was turned to lo has
/// lost its socket, and so its owner: conntrack keeps it, in the connection's mark, which no application can set. The
/// packet's own mark only leads it to lo; its other bits stay whoever's they are.
extension CapturePlan {
    /// The mark of connections of this workload that go to the agent.
    var ownerMark: UInt32? { ownerMark(marks.outbound) }
    /// The same of its datagrams.
    var datagramOwnerMark: UInt32? { ownerMark(marks.datagrams) }

    /// The same of what is the workload's and goes past the agent.
    var passedMark: UInt32? { ownerMark(marks.passed) }

    private func ownerMark(_ kind: UInt32) -> UInt32? {
        place.hostIndex.map { $0 << UInt32(32 - marks.mask.leadingZeroBitCount) | kind }
    }

    /// Marks a packet as one that goes to the agent.
    var claimStatements: [NftStatement] {
        (ownerMark.map { [.setConntrackMark($0)] } ?? []) + [.setMark(mark(marks.outbound))]
    }

    /// Marks a datagram as one that goes to the agent.
    var datagramClaim: [NftStatement] {
        (datagramOwnerMark.map { [.setConntrackMark($0)] } ?? []) + [.setMark(mark(marks.datagrams))]
    }

    // MARK: Whose a connection is that goes past

    /// At the front of what judges a member's packets: whoever the connection goes to, the accounting is to know whose
    /// it is. One that goes to the agent gets another mark after this, and one that somebody else has marked keeps
    /// that: their rules may go by it.
    var belonging: [NftRule] {
        passedMark.map { [NftRule(.conntrackUnmarked, do: .setConntrackMark($0), comment: "whose it is")] } ?? []
    }

    /// What comes in for a member and is passed by.
    var passedChain: NftChain {
        NftChain(name: named("passed"), rules: belonging + [NftRule(do: .accept)])
    }

    /// Inbound, of a member that is passed by altogether.
    var passedOnHost: [NftRule] { place.hostIndex == nil ? [] : [NftRule(do: .goTo(passedChain.name))] }

    // MARK: What goes to the agent

    /// Hands a packet to a listener of the workload's. On the host the listener has to be the agent's: while the agent
    /// is dead, anybody may bind the address. Whatever comes back from the chain was not taken.
    func handOver(_ family: IPAddress.Family, port: UInt16, _ others: NftStatement...) -> [NftStatement] {
        let end: NftStatement = place.hostIndex == nil ? .accept : .jump(HostTable.Name.handedOver)
        return [.tproxy(place.address(family), port: port)] + others + [end]
    }

    /// Turns connections to a listener of the workload's by NAT. REDIRECT knows but one address, so on the host it is a
    /// destination; and for IPv6, where that address is nobody's, it is the mark that leads to lo.
    func redirect(_ match: NftMatch, to port: UInt16) -> [NftRule] {
        guard place.hostIndex != nil else { return [NftRule(match, do: .counter, .redirect(port: port))] }
        return CapturePlan.families.map { family in
            NftRule(
                matching: [.family(family), match],
                do: [.counter] + claimStatements + [.dnat(place.address(family), port: port)])
        }
    }

    /// At the very front. Where a connection was reset, NAT sends the next one between the same ports after it for as
    /// long as the kernel keeps its entry, whoever's it is: to the agent as another's, and with another's rights. Its
    /// first packet is sent again until the entry has gone.
    ///
    /// The first packet of one of its own, sent again, goes where it went.
    var notAnothers: [NftRule] {
        guard let ownerMark else { return [] }
        let turned: [NftMatch] = [.tcpSYN, .conntrackTurned(true), .conntrackMark(mark(marks.outbound))]
        var rules = [
            NftRule(
                matching: turned + [.conntrackOtherMark(ownerMark)], do: [.counter, .drop],
                comment: "another's still, for ten seconds")
        ]
        if outboundMode == .redirect {
            rules.append(NftRule(matching: turned, do: [.setMark(mark(marks.outbound)), .accept]))
        }
        return rules
    }
}

extension CapturePlace {
    /// Blocks of addresses that the listeners of the host's members are bound to, one address for each member: of the
    /// loopback network, and of a unique local network (RFC 4193) that no interface bears.
    static let hostBlocks = ["127.133.0.0/16", "fd74:7261:6d6d:656c::/64"].compactMap { CIDR($0) }
    /// As many as the IPv4 block holds, without its first and last address.
    static let hostIndices: ClosedRange<UInt32> = 1...0xFFFE

    /// A member of the host, one of many in a table.
    static func host(_ index: UInt32) -> CapturePlace {
        CapturePlace(
            prefix: "w\(index)_", v4: IPAddress(v4: 127 << 24 | 133 << 16 | index),
            v6: IPAddress(v6: 0xFD74_7261_6D6D_656C, UInt64(index)), hostIndex: index)
    }
}
