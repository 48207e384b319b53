import CNetfilter
import Glibc
import TrammelCore

/// Builds one rule's expressions, the kernel's little bytecode: loads into registers, comparisons, verdicts.
///
/// The sequences are those that `nft` itself makes, so that `nft list` prints the rules back in its own words.
struct NftRuleEncoder: ~Copyable {
    let rule: OpaquePointer
    var setIDs: [String: UInt32] = [:]
    /// The set that the next match brought with it.
    var anonymousSet: UInt32 = 0
    /// Whether the rule already says which transport it is about: once is enough.
    private var transport: NftMatch.Transport?
    private var family: IPAddress.Family?

    private static let register1 = UInt32(NFT_REG_1.rawValue)
    private static let register2 = UInt32(NFT_REG_2.rawValue)

    init(table: String, chain: String, comment: String?) throws {
        rule = try allocated(nftnl_rule_alloc())
        nftnl_rule_set_str(rule, UInt16(NFTNL_RULE_TABLE.rawValue), table)
        nftnl_rule_set_str(rule, UInt16(NFTNL_RULE_CHAIN.rawValue), chain)
        if let comment {
            let data = NftEncoder.userdata(comment)
            data.withUnsafeBytes {
                _ = nftnl_rule_set_data(rule, UInt16(NFTNL_RULE_USERDATA.rawValue), $0.baseAddress, UInt32($0.count))
            }
        }
    }

    deinit { nftnl_rule_free(rule) }

    mutating func add(_ match: NftMatch) throws {
        switch match {
        case .loopbackInterface(let wanted):
            try meta(NFT_META_IIFNAME)
            try compare(interfaceKey("lo"), equal: wanted)
        case .interfaceInSet(let way, let set, let wanted):
            try meta(way == .incoming ? NFT_META_IIFNAME : NFT_META_OIFNAME)
            try lookup(set, id: setIDs[set], member: wanted)
        case .foreignDestination:
            try addressKind()
            try compare(hostBytes(UInt32(2)), equal: false)  // RTN_LOCAL of linux/rtnetlink.h
        case .socketTransparent:
            try socket(NFT_SOCKET_TRANSPARENT)
            try compare([1])
        case .family(let family):
            try require(family)
        case .transport(let transport):
            try require(transport)
        case .port(let side, let transport, let port):
            try load(port: side, of: transport)
            try compare(bigEndianBytes(port))
        case .ports(let side, let transport, _):
            try load(port: side, of: transport)
            try lookup("__set%d", id: anonymousSet)
        case .portInSet(let side, let transport, let set, let wanted):
            try load(port: side, of: transport)
            try lookup(set, id: setIDs[set], member: wanted)
        case .destinationBlock(let block):
            let family = block.base.family
            let mask = IPAddress(
                number: ~(~0 >> UInt128(block.prefixLength)) >> UInt128(128 - family.bits), family: family)
            try require(family)
            try load(address: .destination, of: family, into: NftRuleEncoder.register1)
            try bitwise(mask: mask.networkBytes, xor: [UInt8](repeating: 0, count: family.bits / 8))
            try compare(block.base.networkBytes)
        case .addressInSet(let side, let family, let set, let wanted):
            try require(family)
            try load(address: side, of: family, into: NftRuleEncoder.register1)
            try lookup(set, id: setIDs[set], member: wanted)
        case .connectionInSet(let family, let set):
            try loadConnection(family)
            try lookup(set, id: setIDs[set])
        case .destinationInSet(let family, let set):
            try require(family)
            try require(NftMatch.Transport.udp)
            try loadConcatenation([(.destination, true), (.destination, false)], family)
            try lookup(set, id: setIDs[set])
        case .flowInSet(let family, let set):
            try require(family)
            try require(NftMatch.Transport.udp)
            try loadConcatenation(NftRuleEncoder.asItLeaves, family)
            try lookup(set, id: setIDs[set])
        case .tcpSYN, .tcpNotSYN:
            try require(NftMatch.Transport.tcp)
            try payload(NFT_PAYLOAD_TRANSPORT_HEADER, offset: 13, length: 1)
            try bitwise(mask: [0x17], xor: [0])  // FIN, SYN, RST, ACK
            try compare([0x02], equal: match == .tcpSYN)
        case .mark(let mark):
            try meta(NFT_META_MARK)
            try bitwise(mask: hostBytes(mark.mask), xor: hostBytes(UInt32(0)))
            try compare(hostBytes(mark.value))
        case .conntrackInvalid:
            try conntrack(NFT_CT_STATE)
            try bitwise(mask: hostBytes(UInt32(1)), xor: hostBytes(UInt32(0)))  // NF_CT_STATE_INVALID_BIT
            try compare(hostBytes(UInt32(0)), equal: false)
        case .localDestination:
            try addressKind()
            try lookup("__set%d", id: anonymousSet)
        case .socketCgroup(let cgroup):
            try socket(NFT_SOCKET_CGROUPV2, level: cgroup.level)
            try compare(hostBytes(cgroup.id))
        case .socketBound:
            try socket(NFT_SOCKET_WILDCARD)
            try compare([0])
        case .socketFound:
            // Where there is none, it has no value to compare.
            try socket(NFT_SOCKET_WILDCARD)
            try compare([1], NFT_CMP_LTE)
        case .conntrackMark(let mark):
            try conntrack(NFT_CT_MARK)
            try bitwise(mask: hostBytes(mark.mask), xor: hostBytes(UInt32(0)))
            try compare(hostBytes(mark.value))
        case .conntrackUnmarked:
            try conntrack(NFT_CT_MARK)
            try compare(hostBytes(UInt32(0)))
        case .conntrackOtherMark(let mark):
            try conntrack(NFT_CT_MARK)
            try compare(hostBytes(mark), equal: false)
        case .conntrackReply(let isReply):
            try conntrack(NFT_CT_DIRECTION)
            try compare([isReply ? 1 : 0])  // enum ip_conntrack_dir
        case .conntrackTurned(let isTurned):
            try conntrack(NFT_CT_STATUS)
            try bitwise(mask: hostBytes(UInt32(1 << 5)), xor: hostBytes(UInt32(0)))  // IPS_DST_NAT
            try compare(hostBytes(UInt32(0)), equal: !isTurned)
        }
    }

    mutating func add(_ statement: NftStatement) throws {
        switch statement {
        case .counter:
            try add("counter") { _ in }
        case .counted(let packets, let bytes):
            try add("counter") {
                nftnl_expr_set_u64($0, UInt16(NFTNL_EXPR_CTR_PACKETS), packets)
                nftnl_expr_set_u64($0, UInt16(NFTNL_EXPR_CTR_BYTES), bytes)
            }
        case .accept:
            try verdict(NF_ACCEPT)
        case .drop:
            try verdict(NF_DROP)
        case .jump(let chain):
            try verdict(NFT_JUMP.rawValue, chain: chain)
        case .goTo(let chain):
            try verdict(NFT_GOTO.rawValue, chain: chain)
        case .lookUp(let field, let map):
            try load(field)
            try lookup(map, id: setIDs[map], isMap: true)
        case .dnat(let address, let port):
            try immediate(address.networkBytes, into: NftRuleEncoder.register1)
            try immediate(bigEndianBytes(port), into: NftRuleEncoder.register2)
            let family = address.family == .v4 ? NFPROTO_IPV4 : NFPROTO_IPV6
            try add("nat") {
                nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_NAT_TYPE), UInt32(NFT_NAT_DNAT.rawValue))
                nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_NAT_FAMILY), UInt32(family))
                // A range of one, as the kernel tells it back.
                for name in [NFTNL_EXPR_NAT_REG_ADDR_MIN, NFTNL_EXPR_NAT_REG_ADDR_MAX] {
                    nftnl_expr_set_u32($0, UInt16(name), NftRuleEncoder.register1)
                }
                for name in [NFTNL_EXPR_NAT_REG_PROTO_MIN, NFTNL_EXPR_NAT_REG_PROTO_MAX] {
                    nftnl_expr_set_u32($0, UInt16(name), NftRuleEncoder.register2)
                }
                // NF_NAT_RANGE_MAP_IPS and NF_NAT_RANGE_PROTO_SPECIFIED, the first of which the kernel adds by itself.
                nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_NAT_FLAGS), 3)
            }
        case .setConntrackMark(let mark):
            try immediate(hostBytes(mark), into: NftRuleEncoder.register1)
            try add("ct") {
                nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_CT_KEY), UInt32(NFT_CT_MARK.rawValue))
                nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_CT_SREG), NftRuleEncoder.register1)
            }
        case .rejectWithReset:
            try add("reject") {
                nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_REJECT_TYPE), UInt32(NFT_REJECT_TCP_RST.rawValue))
                nftnl_expr_set_u8($0, UInt16(NFTNL_EXPR_REJECT_CODE), 0)
            }
        case .rejectUnreachable:
            try add("reject") {
                nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_REJECT_TYPE), UInt32(NFT_REJECT_ICMPX_UNREACH.rawValue))
                nftnl_expr_set_u8($0, UInt16(NFTNL_EXPR_REJECT_CODE), UInt8(NFT_REJECT_ICMPX_PORT_UNREACH.rawValue))
            }
        case .rememberFlow(let family, let set):
            try require(family)
            try require(NftMatch.Transport.udp)
            // As the answer leaves.
            try loadConcatenation(
                [(.destination, true), (.destination, false), (.source, true), (.source, false)], family)
            guard let id = setIDs[set] else { throw NftRuleEncoder.missing(set) }
            try add("dynset") {
                nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_DYNSET_SREG_KEY), NftRuleEncoder.register1)
                nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_DYNSET_OP), UInt32(NFT_DYNSET_OP_UPDATE.rawValue))
                nftnl_expr_set_str($0, UInt16(NFTNL_EXPR_DYNSET_SET_NAME), set)
                nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_DYNSET_SET_ID), id)
            }
        case .redirect(let port):
            try immediate(bigEndianBytes(port), into: NftRuleEncoder.register1)
            try add("redir") {
                nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_REDIR_REG_PROTO_MIN), NftRuleEncoder.register1)
                nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_REDIR_REG_PROTO_MAX), NftRuleEncoder.register1)
                nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_REDIR_FLAGS), 2)  // NF_NAT_RANGE_PROTO_SPECIFIED
            }
        case .tproxy(let address, let port):
            try immediate(address.networkBytes, into: NftRuleEncoder.register1)
            try immediate(bigEndianBytes(port), into: NftRuleEncoder.register2)
            let family = address.family == .v4 ? NFPROTO_IPV4 : NFPROTO_IPV6
            try add("tproxy") {
                nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_TPROXY_FAMILY), UInt32(family))
                nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_TPROXY_REG_ADDR), NftRuleEncoder.register1)
                nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_TPROXY_REG_PORT), NftRuleEncoder.register2)
            }
        case .tproxyToDestination(let family):
            try require(family)
            try load(address: .destination, of: family, into: NftRuleEncoder.register1)
            try add("tproxy") {
                nftnl_expr_set_u32(
                    $0, UInt16(NFTNL_EXPR_TPROXY_FAMILY), UInt32(family == .v4 ? NFPROTO_IPV4 : NFPROTO_IPV6))
                nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_TPROXY_REG_ADDR), NftRuleEncoder.register1)
            }
        case .setMark(let mark):
            try meta(NFT_META_MARK)
            try bitwise(mask: hostBytes(~mark.mask), xor: hostBytes(mark.value))
            try add("meta") {
                nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_META_KEY), UInt32(NFT_META_MARK.rawValue))
                nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_META_SREG), NftRuleEncoder.register1)
            }
        case .markFlow(let mark):
            try add("ct") {
                nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_CT_KEY), UInt32(NFT_CT_MARK.rawValue))
                nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_CT_DREG), NftRuleEncoder.register1)
            }
            try bitwise(mask: hostBytes(~mark.mask), xor: hostBytes(mark.value))
            try add("ct") {
                nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_CT_KEY), UInt32(NFT_CT_MARK.rawValue))
                nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_CT_SREG), NftRuleEncoder.register1)
            }
        }
    }

    // MARK: Expressions

    private mutating func require(_ transport: NftMatch.Transport) throws {
        guard self.transport != transport else { return }
        self.transport = transport
        try meta(NFT_META_L4PROTO)
        try compare([transport.rawValue])
    }

    private mutating func require(_ family: IPAddress.Family) throws {
        guard self.family != family else { return }
        self.family = family
        try meta(NFT_META_NFPROTO)
        try compare([UInt8(family == .v4 ? NFPROTO_IPV4 : NFPROTO_IPV6)])
    }

    private mutating func load(port side: NftMatch.Side, of transport: NftMatch.Transport) throws {
        try require(transport)
        try payload(NFT_PAYLOAD_TRANSPORT_HEADER, offset: side == .source ? 0 : 2, length: 2)
    }

    private func load(address side: NftMatch.Side, of family: IPAddress.Family, into register: UInt32) throws {
        let offset: UInt32 =
            switch (family, side) {
            case (.v4, .source): 12
            case (.v4, .destination): 16
            case (.v6, .source): 8
            case (.v6, .destination): 24
            }
        try payload(
            NFT_PAYLOAD_NETWORK_HEADER, offset: offset, length: family == .v4 ? 4 : 16, into: register)
    }

    /// A concatenated key lies in the registers one behind the other, each field in whole 4-byte registers.
    private mutating func loadConnection(_ family: IPAddress.Family) throws {
        try require(family)
        try require(NftMatch.Transport.tcp)
        try loadConcatenation(NftRuleEncoder.asItLeaves, family)
    }

    private static let asItLeaves: [(NftMatch.Side, Bool)] = [
        (.source, true), (.source, false), (.destination, true), (.destination, false),
    ]

    /// - Parameter fields: the address of a side, or else its port.
    private func loadConcatenation(_ fields: [(side: NftMatch.Side, isAddress: Bool)], _ family: IPAddress.Family)
        throws
    {
        let words: UInt32 = family == .v4 ? 1 : 4
        var next: UInt32 = 0
        for (side, isAddress) in fields {
            if isAddress {
                try load(address: side, of: family, into: NftRuleEncoder.register(next))
            } else {
                try payload(
                    NFT_PAYLOAD_TRANSPORT_HEADER, offset: side == .source ? 0 : 2, length: 2,
                    into: NftRuleEncoder.register(next))
            }
            next += isAddress ? words : 1
        }
    }

    /// The register that begins with this 4-byte word, by the name that the kernel gives it back under: where one of
    /// the four large ones begins, that one's.
    private static func register(_ word: UInt32) -> UInt32 {
        word % 4 == 0 ? UInt32(NFT_REG_1.rawValue) + word / 4 : UInt32(NFT_REG32_00.rawValue) + word
    }

    private mutating func load(_ field: NftVerdictMap.Field) throws {
        switch field {
        case .socketCgroup(let level): try socket(NFT_SOCKET_CGROUPV2, level: level)
        case .socketUser: try meta(NFT_META_SKUID)
        case .tcpDestinationPort: try load(port: .destination, of: .tcp)
        case .conntrackMark: try conntrack(NFT_CT_MARK)
        }
    }

    private func conntrack(_ key: nft_ct_keys) throws {
        try add("ct") {
            nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_CT_KEY), UInt32(key.rawValue))
            nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_CT_DREG), NftRuleEncoder.register1)
        }
    }

    private func meta(_ key: nft_meta_keys) throws {
        try add("meta") {
            nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_META_KEY), key.rawValue)
            nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_META_DREG), NftRuleEncoder.register1)
        }
    }

    private func payload(
        _ base: nft_payload_bases, offset: UInt32, length: UInt32, into register: UInt32 = register1
    ) throws {
        try add("payload") {
            nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_PAYLOAD_BASE), base.rawValue)
            nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_PAYLOAD_OFFSET), offset)
            nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_PAYLOAD_LEN), length)
            nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_PAYLOAD_DREG), register)
        }
    }

    private func socket(_ key: nft_socket_keys, level: UInt32? = nil) throws {
        try add("socket") {
            nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_SOCKET_KEY), key.rawValue)
            nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_SOCKET_DREG), NftRuleEncoder.register1)
            if let level { nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_SOCKET_LEVEL), level) }
        }
    }

    /// What kind of address the destination is to the routing.
    private func addressKind() throws {
        try add("fib") {
            nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_FIB_DREG), NftRuleEncoder.register1)
            nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_FIB_RESULT), UInt32(NFT_FIB_RESULT_ADDRTYPE.rawValue))
            nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_FIB_FLAGS), UInt32(NFTA_FIB_F_DADDR.rawValue))
        }
    }

    private func compare(_ value: [UInt8], equal: Bool = true) throws {
        try compare(value, equal ? NFT_CMP_EQ : NFT_CMP_NEQ)
    }

    private func compare(_ value: [UInt8], _ how: nft_cmp_ops) throws {
        try add("cmp") {
            nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_CMP_SREG), NftRuleEncoder.register1)
            nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_CMP_OP), how.rawValue)
            nftnl_expr_set($0, UInt16(NFTNL_EXPR_CMP_DATA), value, UInt32(value.count))
        }
    }

    /// register 1 = (register 1 & mask) ^ xor
    private func bitwise(mask: [UInt8], xor: [UInt8]) throws {
        try add("bitwise") {
            nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_BITWISE_SREG), NftRuleEncoder.register1)
            nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_BITWISE_DREG), NftRuleEncoder.register1)
            nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_BITWISE_LEN), UInt32(mask.count))
            nftnl_expr_set($0, UInt16(NFTNL_EXPR_BITWISE_MASK), mask, UInt32(mask.count))
            nftnl_expr_set($0, UInt16(NFTNL_EXPR_BITWISE_XOR), xor, UInt32(xor.count))
        }
    }

    private func lookup(_ set: String, id: UInt32?, member: Bool = true, isMap: Bool = false) throws {
        guard let id else {
            throw NftRuleEncoder.missing(set)
        }
        try add("lookup") {
            nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_LOOKUP_SREG), NftRuleEncoder.register1)
            nftnl_expr_set_str($0, UInt16(NFTNL_EXPR_LOOKUP_SET), set)
            nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_LOOKUP_SET_ID), id)
            if isMap { nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_LOOKUP_DREG), UInt32(NFT_REG_VERDICT.rawValue)) }
            if !member { nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_LOOKUP_FLAGS), UInt32(NFT_LOOKUP_F_INV.rawValue)) }
        }
    }

    private static func missing(_ set: String) -> TrammelError {
        TrammelError(.internal, code: "nft-set-missing", "a rule names the set \(set), which its table lacks")
    }

    private func immediate(_ value: [UInt8], into register: UInt32) throws {
        try add("immediate") {
            nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_IMM_DREG), register)
            nftnl_expr_set($0, UInt16(NFTNL_EXPR_IMM_DATA), value, UInt32(value.count))
        }
    }

    private func verdict(_ verdict: Int32, chain: String? = nil) throws {
        try add("immediate") {
            nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_IMM_DREG), UInt32(NFT_REG_VERDICT.rawValue))
            nftnl_expr_set_u32($0, UInt16(NFTNL_EXPR_IMM_VERDICT), UInt32(bitPattern: verdict))
            if let chain { nftnl_expr_set_str($0, UInt16(NFTNL_EXPR_IMM_CHAIN), chain) }
        }
    }

    /// The rule owns the expression from here on.
    private func add(_ name: String, _ fill: (OpaquePointer) -> Void) throws {
        let expression = try allocated(nftnl_expr_alloc(name))
        fill(expression)
        nftnl_rule_add_expr(rule, expression)
    }
}
