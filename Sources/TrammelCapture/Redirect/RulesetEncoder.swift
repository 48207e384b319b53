import CNetfilter
import Glibc
import TrammelCore

/// Writes a ruleset as one nftables transaction: whatever table of that name was there is gone and the new one is
/// there, or nothing has changed.
struct RulesetEncoder: ~Copyable {
    private static let family = UInt16(NFPROTO_INET)

    private var messages: [UInt8] = []
    private var sequence: UInt32 = 1
    private var acknowledged: Set<UInt32> = []

    /// The messages that replace the table by `ruleset`; that remove it, for nil.
    static func transaction(_ ruleset: Ruleset?) -> (messages: [UInt8], acknowledged: Set<UInt32>) {
        var encoder = RulesetEncoder()
        encoder.batch(nftnl_batch_begin)
        // Adding a table that exists changes nothing, so this deletes what may or may not be there.
        encoder.table(NFT_MSG_NEWTABLE)
        encoder.table(NFT_MSG_DELTABLE)
        if let ruleset {
            encoder.table(NFT_MSG_NEWTABLE)
            for set in ruleset.sets { encoder.set(set) }
            for chain in ruleset.chains { encoder.chain(chain) }
            for chain in ruleset.chains {
                for rule in chain.rules { encoder.rule(rule, in: chain.name) }
            }
        }
        encoder.batch(nftnl_batch_end)
        return (encoder.messages, encoder.acknowledged)
    }

    /// Asks for the table; the kernel refuses where there is none.
    static func tableQuery() -> (messages: [UInt8], acknowledged: Set<UInt32>) {
        var encoder = RulesetEncoder()
        encoder.table(NFT_MSG_GETTABLE)
        return (encoder.messages, encoder.acknowledged)
    }

    // MARK: Messages

    /// Room for one message: a rule with its expressions, or a set's elements, 4 bytes of slack a block.
    private static let messageCapacity = 256 * 1024

    private mutating func batch(_ build: (UnsafeMutablePointer<CChar>?, UInt32) -> UnsafeMutablePointer<nlmsghdr>?) {
        message { buffer, sequence in build(buffer, sequence) }
    }

    private mutating func message(
        acknowledge: Bool = false,
        _ build: (UnsafeMutablePointer<CChar>, UInt32) -> UnsafeMutablePointer<nlmsghdr>?
    ) {
        let number = sequence
        sequence += 1
        if acknowledge { acknowledged.insert(number) }
        withUnsafeTemporaryAllocation(byteCount: Self.messageCapacity, alignment: 8) { buffer in
            let memory = buffer.baseAddress!.assumingMemoryBound(to: CChar.self)
            guard let header = build(memory, number) else { return }
            messages += UnsafeRawBufferPointer(start: buffer.baseAddress, count: Int(header.pointee.nlmsg_len))
        }
    }

    private mutating func command(
        _ type: nf_tables_msg_types, flags: Int32, _ payload: (UnsafeMutablePointer<nlmsghdr>?) -> Void
    ) {
        message(acknowledge: true) { buffer, number in
            let header = nftnl_nlmsg_build_hdr(
                buffer, UInt16(type.rawValue), Self.family, UInt16(flags | NLM_F_ACK), number)
            payload(header)
            return header
        }
    }

    private mutating func table(_ type: nf_tables_msg_types) {
        let table = nftnl_table_alloc()
        defer { nftnl_table_free(table) }
        nftnl_table_set_u32(table, UInt16(NFTNL_TABLE_FAMILY.rawValue), UInt32(Self.family))
        nftnl_table_set_str(table, UInt16(NFTNL_TABLE_NAME.rawValue), Ruleset.tableName)
        command(type, flags: type == NFT_MSG_NEWTABLE ? NLM_F_CREATE : 0) {
            nftnl_table_nlmsg_build_payload($0, table)
        }
    }

    private mutating func chain(_ chain: Ruleset.Chain) {
        let object = nftnl_chain_alloc()
        defer { nftnl_chain_free(object) }
        nftnl_chain_set_str(object, UInt16(NFTNL_CHAIN_TABLE.rawValue), Ruleset.tableName)
        nftnl_chain_set_str(object, UInt16(NFTNL_CHAIN_NAME.rawValue), chain.name)
        nftnl_chain_set_str(object, UInt16(NFTNL_CHAIN_TYPE.rawValue), chain.type.rawValue)
        nftnl_chain_set_u32(object, UInt16(NFTNL_CHAIN_HOOKNUM.rawValue), chain.hook.rawValue)
        nftnl_chain_set_s32(object, UInt16(NFTNL_CHAIN_PRIO.rawValue), chain.priority)
        nftnl_chain_set_u32(object, UInt16(NFTNL_CHAIN_POLICY.rawValue), UInt32(NF_ACCEPT))
        command(NFT_MSG_NEWCHAIN, flags: NLM_F_CREATE) { nftnl_chain_nlmsg_build_payload($0, object) }
    }

    private mutating func rule(_ rule: Ruleset.Rule, in chain: String) {
        let object = nftnl_rule_alloc()
        defer { nftnl_rule_free(object) }
        nftnl_rule_set_str(object, UInt16(NFTNL_RULE_TABLE.rawValue), Ruleset.tableName)
        nftnl_rule_set_str(object, UInt16(NFTNL_RULE_CHAIN.rawValue), chain)
        let expressions = ExpressionWriter(rule: object)
        for match in rule.matches { expressions.write(match) }
        if rule.counts { expressions.counter() }
        expressions.write(rule.action)
        command(NFT_MSG_NEWRULE, flags: NLM_F_CREATE | NLM_F_APPEND) { nftnl_rule_nlmsg_build_payload($0, object) }
    }

    // MARK: Sets

    private mutating func set(_ set: AddressBlocks) {
        let object = nftnl_set_alloc()
        defer { nftnl_set_free(object) }
        nftnl_set_set_str(object, UInt16(NFTNL_SET_TABLE.rawValue), Ruleset.tableName)
        nftnl_set_set_str(object, UInt16(NFTNL_SET_NAME.rawValue), set.name)
        nftnl_set_set_u32(object, UInt16(NFTNL_SET_FLAGS.rawValue), NFT_SET_INTERVAL.rawValue)
        // nft's own numbers for its types ipv4_addr and ipv6_addr, so that it can print the set.
        nftnl_set_set_u32(object, UInt16(NFTNL_SET_KEY_TYPE.rawValue), set.family == .v4 ? 7 : 8)
        nftnl_set_set_u32(object, UInt16(NFTNL_SET_KEY_LEN.rawValue), UInt32(set.family.bits / 8))
        nftnl_set_set_u32(object, UInt16(NFTNL_SET_ID.rawValue), sequence)
        command(NFT_MSG_NEWSET, flags: NLM_F_CREATE) { nftnl_set_nlmsg_build_payload($0, object) }
        for bound in set.bounds {
            guard let element = nftnl_set_elem_alloc() else { continue }
            nftnl_set_elem_set(
                element, UInt16(NFTNL_SET_ELEM_KEY), bound.address.networkBytes, UInt32(set.family.bits / 8))
            if bound.isEnd {
                nftnl_set_elem_set_u32(
                    element, UInt16(NFTNL_SET_ELEM_FLAGS), NFT_SET_ELEM_INTERVAL_END.rawValue)
            }
            nftnl_set_elem_add(object, element)
        }
        command(NFT_MSG_NEWSETELEM, flags: NLM_F_CREATE) { nftnl_set_elems_nlmsg_build_payload($0, object) }
    }

    private typealias AddressBlocks = Ruleset.AddressSet
}

extension Ruleset.AddressSet {
    /// The blocks as the kernel wants intervals: where each begins, and the first address behind it. Blocks that
    /// overlap or touch are one interval.
    fileprivate var bounds: [(address: IPAddress, isEnd: Bool)] {
        var bounds: [(address: IPAddress, isEnd: Bool)] = []
        var covered: CIDR?
        for block in blocks.sorted(by: { ($0.base, $0.prefixLength) < ($1.base, $1.prefixLength) }) {
            // Two blocks are either apart or one inside the other.
            if let covered, covered.contains(block.base) { continue }
            covered = block
            if let last = bounds.last, last.isEnd, last.address == block.base {
                bounds.removeLast()
            } else {
                bounds.append((block.base, false))
            }
            if let next = block.firstBeyond { bounds.append((next, true)) }
        }
        return bounds
    }
}

extension CIDR {
    /// The first address behind the block; nil where the block reaches to the end of all addresses.
    fileprivate var firstBeyond: IPAddress? {
        switch base.family {
        case .v4:
            let next = base.low &+ (1 << UInt64(32 - prefixLength))
            return next > UInt64(UInt32.max) ? nil : IPAddress(v4: UInt32(truncatingIfNeeded: next))
        case .v6:
            if prefixLength == 0 { return nil }
            if prefixLength <= 64 {
                let (high, overflow) = base.high.addingReportingOverflow(1 << UInt64(64 - prefixLength))
                return overflow ? nil : IPAddress(v6: high, 0)
            }
            let (low, carry) = base.low.addingReportingOverflow(1 << UInt64(128 - prefixLength))
            let (high, overflow) = base.high.addingReportingOverflow(carry ? 1 : 0)
            return overflow ? nil : IPAddress(v6: high, low)
        }
    }
}
