import CNetfilter
import Glibc
import TrammelCore

extension NftSocket {
    /// What the kernel holds of a table; nil where there is none.
    mutating func contents(ofTable name: String) throws -> NftContents? {
        do {
            return try steadily { try $0.read(name) }
        } catch let failure as NetlinkFailure {
            throw TrammelError.kernel("read the installed rules", errno: failure.code, token: "nftables")
        }
    }

    private mutating func read(_ name: String) throws -> NftContents? {
        guard try comment(ofTable: name) != nil else { return nil }
        var chains = try chains(of: name)
        var sets: [String: [String]] = [:]
        for set in try setNames(of: name) { sets[set] = try members(of: set, in: name) }
        let indices = Dictionary(chains.indices.map { (chains[$0].name, $0) }) { first, _ in first }
        try readRules(of: name) { chain, rule in
            guard let index = indices[chain] else { return }
            chains[index].rules.append(NftContents.read(rule) { sets[$0] ?? [] })
        }
        return NftContents(chains: chains, sets: sets.filter { !$0.key.hasPrefix("__set") })
    }

    /// Reads again what somebody changed while it was read: the kernel ends such a dump with EINTR, ten times at most.
    private mutating func steadily<Found>(_ read: (inout NftSocket) throws -> Found) throws -> Found {
        for _ in 1..<10 {
            do {
                return try read(&self)
            } catch let failure as NetlinkFailure where failure.code == EINTR {
                continue
            }
        }
        return try read(&self)
    }

    private mutating func chains(of table: String) throws -> [NftContents.Chain] {
        var chains: [NftContents.Chain] = []
        try dump(NFT_MSG_GETCHAIN) { reply in
            let object = try allocated(nftnl_chain_alloc())
            defer { nftnl_chain_free(object) }
            guard nftnl_chain_nlmsg_parse(reply.header, object) == 0,
                NftSocket.text(nftnl_chain_get_str(object, UInt16(NFTNL_CHAIN_TABLE.rawValue))) == table
            else { return }
            var hook = ""
            if nftnl_chain_is_set(object, UInt16(NFTNL_CHAIN_HOOKNUM.rawValue)) {
                hook = NftContents.hook(
                    NftSocket.text(nftnl_chain_get_str(object, UInt16(NFTNL_CHAIN_TYPE.rawValue))),
                    nftnl_chain_get_u32(object, UInt16(NFTNL_CHAIN_HOOKNUM.rawValue)),
                    nftnl_chain_get_s32(object, UInt16(NFTNL_CHAIN_PRIO.rawValue)))
            }
            let name = NftSocket.text(nftnl_chain_get_str(object, UInt16(NFTNL_CHAIN_NAME.rawValue)))
            chains.append(NftContents.Chain(name: name, hook: hook))
        }
        return chains
    }

    private mutating func setNames(of table: String) throws -> [String] {
        var names: [String] = []
        try dump(NFT_MSG_GETSET, { $0.append(NFTA_SET_TABLE.rawValue, bytes: Array(table.utf8) + [0]) }) { reply in
            let object = try allocated(nftnl_set_alloc())
            defer { nftnl_set_free(object) }
            guard nftnl_set_nlmsg_parse(reply.header, object) == 0 else { return }
            names.append(NftSocket.text(nftnl_set_get_str(object, UInt16(NFTNL_SET_NAME.rawValue))))
        }
        return names
    }

    private mutating func members(of set: String, in table: String) throws -> [String] {
        var members: [String] = []
        let ask: (inout NetlinkMessage) -> Void = {
            $0.append(NFTA_SET_ELEM_LIST_TABLE.rawValue, bytes: Array(table.utf8) + [0])
            $0.append(NFTA_SET_ELEM_LIST_SET.rawValue, bytes: Array(set.utf8) + [0])
        }
        // Read here: libnftnl's iterator fails on a set without members.
        try dump(NFT_MSG_GETSETELEM, ask) { reply in
            guard let (_, attributes) = reply.payload.leading(nfgenmsg.self) else { return }
            for list in NetlinkAttributes(attributes)
            where list.type == Int(NFTA_SET_ELEM_LIST_ELEMENTS.rawValue) {
                for element in list.nested { members.append(NftContents.text(NftSetElement(element))) }
            }
        }
        return members.sorted()
    }

    private mutating func readRules(of table: String, _ each: (String, OpaquePointer) -> Void) throws {
        try dump(NFT_MSG_GETRULE, { $0.append(NFTA_RULE_TABLE.rawValue, bytes: Array(table.utf8) + [0]) }) { reply in
            let object = try allocated(nftnl_rule_alloc())
            defer { nftnl_rule_free(object) }
            guard nftnl_rule_nlmsg_parse(reply.header, object) == 0,
                NftSocket.text(nftnl_rule_get_str(object, UInt16(NFTNL_RULE_TABLE.rawValue))) == table
            else { return }
            each(NftSocket.text(nftnl_rule_get_str(object, UInt16(NFTNL_RULE_CHAIN.rawValue))), object)
        }
    }

    private mutating func dump(
        _ type: nf_tables_msg_types, _ ask: (inout NetlinkMessage) -> Void = { _ in },
        each: (NetlinkReply) throws -> Void
    ) throws {
        var message = NetlinkMessage(type: NftSocket.type(type), flags: 0)
        message.append(fixed: nfgenmsg(nfgen_family: UInt8(NFPROTO_INET), version: UInt8(NFNETLINK_V0), res_id: 0))
        ask(&message)
        try socket.dump(message, each: each)
    }

    private static func text(_ pointer: UnsafePointer<CChar>?) -> String { pointer.map { String(cString: $0) } ?? "" }
}

extension NftSetElement {
    /// Reads one member of a set as the kernel tells it.
    init(_ attribute: NetlinkAttribute) {
        var key: [UInt8] = []
        var lastKey: [UInt8]?
        var flags: UInt32 = 0
        var verdict: NftVerdictMap.Verdict?
        for part in attribute.nested {
            switch UInt32(part.type) {
            case NFTA_SET_ELEM_KEY.rawValue:
                for data in part.nested where data.type == Int(NFTA_DATA_VALUE.rawValue) { key = Array(data.bytes) }
            case NFTA_SET_ELEM_KEY_END.rawValue:
                for data in part.nested where data.type == Int(NFTA_DATA_VALUE.rawValue) { lastKey = Array(data.bytes) }
            case NFTA_SET_ELEM_FLAGS.rawValue:
                flags = part.number(UInt32.self).map { UInt32(bigEndian: $0) } ?? 0
            case NFTA_SET_ELEM_DATA.rawValue:
                for data in part.nested where data.type == Int(NFTA_DATA_VERDICT.rawValue) {
                    verdict = .accept
                    for word in data.nested where word.type == Int(NFTA_VERDICT_CHAIN.rawValue) {
                        verdict = .goTo(word.text)
                    }
                }
            default:
                break
            }
        }
        self.init(
            key: key, lastKey: lastKey, isIntervalEnd: flags & NFT_SET_ELEM_INTERVAL_END.rawValue != 0, verdict: verdict
        )
    }
}
