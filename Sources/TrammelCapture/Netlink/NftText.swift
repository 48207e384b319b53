import TrammelCore

/// Tables in the words of nft(8), as `nft list` prints them. For people, and for tests that hold the encoder and this
/// against each other.
extension NftTable {
    var text: String {
        var lines = ["table inet \(name) {"]
        if isOwned { lines.append("    flags owner") }
        if let comment { lines.append("    comment \"\(comment)\"") }
        for set in sets { lines += set.lines + [""] }
        for map in maps { lines += map.lines + [""] }
        for chain in chains { lines += chain.lines + [""] }
        if lines.last == "" { lines.removeLast() }
        return (lines + ["}"]).joined(separator: "\n")
    }
}

extension NftSet {
    fileprivate var lines: [String] {
        var lines = ["    set \(name) {", "        type \(typeText)"]
        switch members {
        case .blocks, .destinations: lines.append("        flags interval")
        case .remembered(_, let seconds, let most):
            lines.append("        size \(most)")
            lines.append("        flags dynamic,timeout")
            lines.append("        timeout \(seconds % 60 == 0 ? "\(seconds / 60)m" : "\(seconds)s")")
        case .ports, .interfaces, .connections: break
        }
        let texts = memberTexts
        if !texts.isEmpty { lines.append("        elements = { \(texts.joined(separator: ", ")) }") }
        return lines + ["    }"]
    }

    private var typeText: String {
        switch members {
        case .blocks(let family, _): family == .v4 ? "ipv4_addr" : "ipv6_addr"
        case .ports: "inet_service"
        case .destinations(.v4, _): "ipv4_addr . inet_service"
        case .destinations(.v6, _): "ipv6_addr . inet_service"
        case .remembered(.v4, _, _): "ipv4_addr . inet_service . ipv4_addr . inet_service"
        case .remembered(.v6, _, _): "ipv6_addr . inet_service . ipv6_addr . inet_service"
        case .interfaces: "ifname"
        case .connections(.v4, _): "ipv4_addr . inet_service . ipv4_addr . inet_service"
        case .connections(.v6, _): "ipv6_addr . inet_service . ipv6_addr . inet_service"
        }
    }

    private var memberTexts: [String] {
        switch members {
        case .blocks(let family, let blocks): NftIntervals(blocks, family: family).texts(family)
        case .ports(let ports): Set(ports).sorted().map(String.init)
        case .remembered: []
        case .destinations(let family, let destinations):
            NftDestinations(destinations, family: family).ranges.map {
                "\(NftIntervals.text($0.first, $0.last, family)) . \($0.port)"
            }
        case .interfaces(let names): Set(names).sorted().map { "\"\($0)\"" }
        case .connections(_, let tuples):
            Set(tuples).map {
                "\($0.source.address) . \($0.source.port) . \($0.destination.address) . \($0.destination.port)"
            }.sorted()
        }
    }
}

extension NftIntervals {
    /// Each range as a block where it is one, else by its two ends.
    fileprivate func texts(_ family: IPAddress.Family) -> [String] {
        let all = family == .v4 ? UInt128(UInt32.max) : UInt128.max
        return borders.indices.compactMap { index in
            guard !borders[index].isEnd else { return nil }
            let first = borders[index].address.number
            let last = index + 1 < borders.count ? borders[index + 1].address.number - 1 : all
            return NftIntervals.text(first, last, family)
        }
    }

    fileprivate static func text(_ first: UInt128, _ last: UInt128, _ family: IPAddress.Family) -> String {
        let spread = first ^ last
        let isBlock = spread & (spread &+ 1) == 0 && first & spread == 0
        let length = family.bits - (128 - spread.leadingZeroBitCount)
        let start = IPAddress(number: first, family: family)
        if spread == 0 { return "\(start)" }
        return isBlock ? "\(start)/\(length)" : "\(start)-\(IPAddress(number: last, family: family))"
    }
}

extension NftChain {
    fileprivate var lines: [String] {
        var lines = ["    chain \(name) {"]
        if let hook { lines.append("        \(hook.text)") }
        lines += rules.map { "        \($0.text)" }
        return lines + ["    }"]
    }
}

extension NftChain.Hook {
    var text: String {
        let priority =
            switch priority {
            case -150: "mangle"
            case -160: "mangle - 10"
            default: "\(priority)"
            }
        return "type \(kind.rawValue) hook \(point) priority \(priority); policy accept;"
    }
}

extension NftRule {
    var text: String {
        var words: [String] = []
        for (index, match) in matches.enumerated() {
            // nft leaves out what a following match says anyway.
            if case .transport = match, index + 1 < matches.count, matches[index + 1].impliesTransport { continue }
            words.append(match.text)
        }
        words += statements.map(\.text)
        if let comment { words.append("comment \"\(comment)\"") }
        return words.joined(separator: " ")
    }
}

extension NftMatch {
    fileprivate var impliesTransport: Bool {
        switch self {
        case .port, .ports, .portInSet, .destinationInSet, .flowInSet, .tcpSYN, .tcpNotSYN: true
        default: false
        }
    }

    var text: String {
        switch self {
        case .loopbackInterface(let wanted): "iifname \(wanted ? "" : "!= ")\"lo\""
        case .family(let family): "meta nfproto \(family == .v4 ? "ipv4" : "ipv6")"
        case .transport(let transport): "meta l4proto \(transport)"
        case .port(let side, let transport, let port): "\(transport) \(side.port) \(port)"
        case .ports(let side, let transport, let ports):
            "\(transport) \(side.port) { \(Set(ports).sorted().map(String.init).joined(separator: ", ")) }"
        case .portInSet(let side, let transport, let set, let wanted):
            "\(transport) \(side.port) \(wanted ? "" : "!= ")@\(set)"
        case .addressInSet(let side, let family, let set, let wanted):
            "\(family.word) \(side.address) \(wanted ? "" : "!= ")@\(set)"
        case .destinationBlock(let block): "\(block.base.family.word) daddr \(block)"
        case .connectionInSet(let family, let set):
            "\(family.word) saddr . tcp sport . \(family.word) daddr . tcp dport @\(set)"
        case .destinationInSet(let family, let set): "\(family.word) daddr . udp dport @\(set)"
        case .flowInSet(let family, let set):
            "\(family.word) saddr . udp sport . \(family.word) daddr . udp dport @\(set)"
        case .tcpSYN: "tcp flags syn / fin,syn,rst,ack"
        case .tcpNotSYN: "tcp flags != syn / fin,syn,rst,ack"
        case .mark(let mark): "meta mark & \(mark.mask.word) == \(mark.value.word)"
        case .conntrackInvalid: "ct state invalid"
        case .interfaceInSet(let way, let set, let wanted):
            "\(way == .incoming ? "iifname" : "oifname") \(wanted ? "" : "!= ")@\(set)"
        case .foreignDestination: "fib daddr type != local"
        case .socketTransparent: "socket transparent 1"
        case .localDestination: "fib daddr type { local, broadcast, anycast, multicast }"
        case .socketCgroup(let cgroup): "socket cgroupv2 level \(cgroup.level) \"\(cgroup.path.dropFirst())\""
        case .socketBound: "socket wildcard 0"
        case .socketFound: "socket wildcard <= 1"
        case .conntrackMark(let mark): "ct mark & \(mark.mask.word) == \(mark.value.word)"
        case .conntrackUnmarked: "ct mark \(UInt32(0).word)"
        case .conntrackOtherMark(let mark): "ct mark != \(mark.word)"
        case .conntrackReply(let isReply): "ct direction \(isReply ? "reply" : "original")"
        case .conntrackTurned(let isTurned): isTurned ? "ct status dnat" : "ct status ! dnat"
        }
    }
}

extension NftStatement {
    var text: String {
        switch self {
        case .counter: "counter"
        case .counted(let packets, let bytes): "counter packets \(packets) bytes \(bytes)"
        case .accept: "accept"
        case .drop: "drop"
        case .rejectWithReset: "reject with tcp reset"
        case .rejectUnreachable: "reject"
        case .rememberFlow(let family, let set):
            "update @\(set) { \(family.word) daddr . udp dport . \(family.word) saddr . udp sport }"
        case .redirect(let port): "redirect to :\(port)"
        case .tproxy(let address, let port):
            address.family == .v4 ? "tproxy ip to \(address):\(port)" : "tproxy ip6 to [\(address)]:\(port)"
        case .tproxyToDestination(let family):
            family == .v4 ? "tproxy ip to ip daddr" : "tproxy ip6 to ip6 daddr"
        case .setMark(let mark):
            // Written by nft as the bits that are kept or set, and those that are set.
            mark.value == 0
                ? "meta mark set meta mark & \((~mark.mask).word)"
                : "meta mark set meta mark & \((~mark.mask | mark.value).word) | \(mark.value.word)"
        case .markFlow(let mark):
            "ct mark set ct mark & \((~mark.mask | mark.value).word) | \(mark.value.word)"
        case .jump(let chain): "jump \(chain)"
        case .goTo(let chain): "goto \(chain)"
        case .lookUp(let field, let map): "\(field.text) vmap @\(map)"
        case .dnat(let address, let port):
            address.family == .v4 ? "dnat ip to \(address):\(port)" : "dnat ip6 to [\(address)]:\(port)"
        case .setConntrackMark(let mark): "ct mark set \(mark.word)"
        }
    }
}

extension NftMatch.Side {
    fileprivate var port: String { self == .source ? "sport" : "dport" }
    fileprivate var address: String { self == .source ? "saddr" : "daddr" }
}

extension IPAddress.Family {
    fileprivate var word: String { self == .v4 ? "ip" : "ip6" }
}

extension UInt32 {
    fileprivate var word: String { hexadecimalWord }

    /// `0x00000539`
    var hexadecimalWord: String {
        let digits = String(self, radix: 16)
        return "0x" + String(repeating: "0", count: 8 - digits.count) + digits
    }
}
