import CNetfilter
import Glibc
import TrammelCore

/// Turns a table into the nfnetlink messages of one transaction, through libnftnl.
///
/// `table; delete table; the whole table` in one batch: whatever stood there under the name is replaced in one step,
/// between two packets, and the same call serves the first time and every later one.
struct NftEncoder {
    /// Members per message: a netlink attribute holds at most 64 KiB.
    private static let membersPerMessage = 500

    /// NFT_DATA_VERDICT of linux/netfilter/nf_tables.h, which says it in a way that C alone understands.
    private static let verdictData: UInt32 = 0xFFFF_FF00

    let table: NftTable
    private(set) var messages: [NetlinkMessage] = []
    private var nextSetID: UInt32 = 1
    var setIDs: [String: UInt32] = [:]

    /// The messages that put `table` in place of whatever bears its name.
    static func replace(_ table: NftTable) throws -> [NetlinkMessage] { try make(table, overOthers: true) }

    /// The messages that make `table` where none bears its name, and are refused (EEXIST) where one does. The kernel
    /// has nothing to take away then, for which it would wait for every CPU.
    static func create(_ table: NftTable) throws -> [NetlinkMessage] { try make(table, overOthers: false) }

    private static func make(_ table: NftTable, overOthers: Bool) throws -> [NetlinkMessage] {
        var encoder = NftEncoder(table: table)
        if overOthers {
            // Without flags this one is taken for whatever stands there, owned or not.
            try encoder.encodeTable(NFT_MSG_NEWTABLE, flags: NLM_F_CREATE, comment: table.comment)
            try encoder.encodeTable(NFT_MSG_DELTABLE, flags: 0, comment: nil)
        }
        try encoder.encodeTable(
            NFT_MSG_NEWTABLE, flags: overOthers ? NLM_F_CREATE : NLM_F_CREATE | NLM_F_EXCL, comment: table.comment,
            isOwned: table.isOwned)
        for set in table.sets { try encoder.encode(set) }
        for map in table.maps { try encoder.encode(map) }
        for chain in table.chains { try encoder.encode(chain) }
        // What members lead to has to be there first.
        for map in table.maps { try encoder.encode(members: map.elements, of: map.name) }
        for chain in table.chains {
            for rule in chain.rules { try encoder.encode(rule, in: chain.name) }
        }
        return encoder.messages
    }

    /// The messages that remove the table, whether it is there or not.
    static func remove(named name: String) throws -> [NetlinkMessage] {
        var encoder = NftEncoder(table: NftTable(name: name))
        try encoder.encodeTable(NFT_MSG_NEWTABLE, flags: NLM_F_CREATE, comment: nil)
        try encoder.encodeTable(NFT_MSG_DELTABLE, flags: 0, comment: nil)
        return encoder.messages
    }

    init(table: NftTable) { self.table = table }

    // MARK: Objects

    mutating func encodeTable(
        _ type: nf_tables_msg_types, flags: Int32, comment: String?, isOwned: Bool = false
    ) throws {
        let object = try allocated(nftnl_table_alloc())
        defer { nftnl_table_free(object) }
        nftnl_table_set_str(object, UInt16(NFTNL_TABLE_NAME.rawValue), table.name)
        if isOwned {
            nftnl_table_set_u32(object, UInt16(NFTNL_TABLE_FLAGS.rawValue), UInt32(NFT_TABLE_F_OWNER.rawValue))
        }
        if let comment {
            let data = NftEncoder.userdata(comment)
            data.withUnsafeBytes {
                _ = nftnl_table_set_data(
                    object, UInt16(NFTNL_TABLE_USERDATA.rawValue), $0.baseAddress, UInt32($0.count))
            }
        }
        emit(type, flags) { nftnl_table_nlmsg_build_payload($0, object) }
    }

    mutating func encode(_ chain: NftChain) throws {
        let object = try allocated(nftnl_chain_alloc())
        defer { nftnl_chain_free(object) }
        nftnl_chain_set_str(object, UInt16(NFTNL_CHAIN_TABLE.rawValue), table.name)
        nftnl_chain_set_str(object, UInt16(NFTNL_CHAIN_NAME.rawValue), chain.name)
        if let hook = chain.hook {
            nftnl_chain_set_u32(object, UInt16(NFTNL_CHAIN_HOOKNUM.rawValue), hook.point.rawValue)
            nftnl_chain_set_s32(object, UInt16(NFTNL_CHAIN_PRIO.rawValue), hook.priority)
            nftnl_chain_set_str(object, UInt16(NFTNL_CHAIN_TYPE.rawValue), hook.kind.rawValue)
            nftnl_chain_set_u32(object, UInt16(NFTNL_CHAIN_POLICY.rawValue), UInt32(NF_ACCEPT))
        }
        emit(NFT_MSG_NEWCHAIN, NLM_F_CREATE) { nftnl_chain_nlmsg_build_payload($0, object) }
    }

    mutating func encode(_ set: NftSet) throws {
        let layout = set.members.layout
        let id = try encodeSet(
            named: set.name, type: set.members.keyType, flags: layout.flags, size: layout.most.map { Int($0) },
            fields: layout.fields, seconds: layout.seconds)
        setIDs[set.name] = id
        try encode(members: set.members.elements, of: set.name)
    }

    mutating func encode(_ map: NftVerdictMap) throws {
        setIDs[map.name] = try encodeSet(
            named: map.name, type: map.keyType, flags: NFT_SET_MAP.rawValue, size: nil)
    }

    private mutating func encodeSet(
        named name: String, type: NftKeyType, flags: UInt32, size: Int?, fields: [UInt8] = [],
        seconds: UInt32? = nil
    ) throws -> UInt32 {
        let object = try allocated(nftnl_set_alloc())
        defer { nftnl_set_free(object) }
        let id = nextSetID
        nextSetID += 1
        nftnl_set_set_str(object, UInt16(NFTNL_SET_TABLE.rawValue), table.name)
        nftnl_set_set_str(object, UInt16(NFTNL_SET_NAME.rawValue), name)
        nftnl_set_set_u32(object, UInt16(NFTNL_SET_ID.rawValue), id)
        nftnl_set_set_u32(object, UInt16(NFTNL_SET_FAMILY.rawValue), UInt32(NFPROTO_INET))
        nftnl_set_set_u32(object, UInt16(NFTNL_SET_FLAGS.rawValue), flags)
        nftnl_set_set_u32(object, UInt16(NFTNL_SET_KEY_TYPE.rawValue), type.identifier)
        nftnl_set_set_u32(object, UInt16(NFTNL_SET_KEY_LEN.rawValue), type.length)
        if flags & NFT_SET_MAP.rawValue != 0 {
            nftnl_set_set_u32(object, UInt16(NFTNL_SET_DATA_TYPE.rawValue), NftEncoder.verdictData)
        }
        if type == .interface || flags & NFT_SET_MAP.rawValue != 0 && type != .port {
            // Without this note `nft list` takes the keys for big-endian: type 0, the byte order of keys, 1 for the
            // machine's own.
            let note: [UInt8] = [0, 4] + hostBytes(UInt32(1))
            note.withUnsafeBytes {
                _ = nftnl_set_set_data(
                    object, UInt16(NFTNL_SET_USERDATA.rawValue), $0.baseAddress, UInt32($0.count))
            }
        }
        if let size { nftnl_set_set_u32(object, UInt16(NFTNL_SET_DESC_SIZE.rawValue), UInt32(size)) }
        if !fields.isEmpty {
            nftnl_set_set_data(object, UInt16(NFTNL_SET_DESC_CONCAT.rawValue), fields, UInt32(fields.count))
        }
        if let seconds { nftnl_set_set_u64(object, UInt16(NFTNL_SET_TIMEOUT.rawValue), UInt64(seconds) * 1000) }
        emit(NFT_MSG_NEWSET, NLM_F_CREATE) { nftnl_set_nlmsg_build_payload($0, object) }
        return id
    }

    /// - Parameter id: of an anonymous set; one with a name is found by that.
    mutating func encode(
        members: [NftSetElement], of name: String, id: UInt32? = nil, _ type: nf_tables_msg_types = NFT_MSG_NEWSETELEM
    ) throws {
        var rest = members[...]
        while !rest.isEmpty {
            let object = try allocated(nftnl_set_alloc())
            defer { nftnl_set_free(object) }
            nftnl_set_set_str(object, UInt16(NFTNL_SET_TABLE.rawValue), table.name)
            nftnl_set_set_str(object, UInt16(NFTNL_SET_NAME.rawValue), name)
            if let id = id ?? setIDs[name] { nftnl_set_set_u32(object, UInt16(NFTNL_SET_ID.rawValue), id) }
            for member in rest.prefix(NftEncoder.membersPerMessage) {
                let element = try allocated(nftnl_set_elem_alloc())
                _ = member.key.withUnsafeBytes {
                    nftnl_set_elem_set(element, UInt16(NFTNL_SET_ELEM_KEY), $0.baseAddress, UInt32($0.count))
                }
                if let last = member.lastKey {
                    _ = last.withUnsafeBytes {
                        nftnl_set_elem_set(
                            element, UInt16(NFTNL_SET_ELEM_KEY_END), $0.baseAddress, UInt32($0.count))
                    }
                }
                if member.isIntervalEnd {
                    nftnl_set_elem_set_u32(
                        element, UInt16(NFTNL_SET_ELEM_FLAGS), NFT_SET_ELEM_INTERVAL_END.rawValue)
                }
                switch type == NFT_MSG_NEWSETELEM ? member.verdict : nil {
                case .goTo(let chain):
                    nftnl_set_elem_set_u32(
                        element, UInt16(NFTNL_SET_ELEM_VERDICT), UInt32(bitPattern: NFT_GOTO.rawValue))
                    nftnl_set_elem_set_str(element, UInt16(NFTNL_SET_ELEM_CHAIN), chain)
                case .accept:
                    nftnl_set_elem_set_u32(element, UInt16(NFTNL_SET_ELEM_VERDICT), UInt32(NF_ACCEPT))
                case nil:
                    break
                }
                nftnl_set_elem_add(object, element)
            }
            rest = rest.dropFirst(NftEncoder.membersPerMessage)
            emit(type, type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0) {
                nftnl_set_elems_nlmsg_build_payload($0, object)
            }
        }
    }

    mutating func encode(_ rule: NftRule, in chain: String) throws {
        var encoder = try NftRuleEncoder(table: table.name, chain: chain, comment: rule.comment)
        encoder.setIDs = setIDs
        for match in rule.matches {
            if let constants = match.constants {
                let flags = NFT_SET_ANONYMOUS.rawValue | NFT_SET_CONSTANT.rawValue
                let id = try encodeSet(
                    named: "__set%d", type: constants.type, flags: flags, size: constants.elements.count)
                try encode(members: constants.elements, of: "__set%d", id: id)
                encoder.anonymousSet = id
            }
            try encoder.add(match)
        }
        for statement in rule.statements { try encoder.add(statement) }
        let object = encoder.rule
        emit(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND) { nftnl_rule_nlmsg_build_payload($0, object) }
    }

    // MARK: Messages

    mutating func emit(
        _ type: nf_tables_msg_types, _ flags: Int32, _ build: (UnsafeMutablePointer<nlmsghdr>) -> Void
    ) {
        withUnsafeTemporaryAllocation(byteCount: 128 * 1024, alignment: 8) { scratch in
            guard
                let base = scratch.baseAddress?.assumingMemoryBound(to: CChar.self),
                let header = nftnl_nlmsg_build_hdr(
                    base, UInt16(type.rawValue), UInt16(NFPROTO_INET), UInt16(flags), 0)
            else { return }
            build(header)
            messages.append(NetlinkMessage(copying: header))
        }
    }

    /// A comment as libnftnl's user data holds it: type 0, length, NUL-ended text of at most 127 bytes.
    static func userdata(_ comment: String) -> [UInt8] {
        let text = Array(comment.utf8.prefix(127)) + [0]
        return [0, UInt8(text.count)] + text
    }
}

/// An allocation by a C library that can only fail for want of memory.
func allocated(_ pointer: OpaquePointer?) throws -> OpaquePointer {
    guard let pointer else { throw TrammelError.kernel("allocate a netlink object", errno: ENOMEM, token: "netlink") }
    return pointer
}
