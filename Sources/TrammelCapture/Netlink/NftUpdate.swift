import CNetfilter
import Glibc
import TrammelCore

extension NftEncoder {
    /// The messages that turn `old`, as it is installed, into `new` in one transaction, touching only what differs:
    /// the cost follows the change and not the table. Counters of rules that stay go on.
    ///
    /// Nil where only a replacement can do it: another name or comment, a chain's hook, a set's type.
    static func update(from old: NftTable, to new: NftTable) throws -> [NetlinkMessage]? {
        guard old.name == new.name, old.comment == new.comment, old.isOwned == new.isOwned else { return nil }
        let sets = Difference(old.sets, new.sets, by: \.name)
        let maps = Difference(old.maps, new.maps, by: \.name)
        let chains = Difference(old.chains, new.chains, by: \.name)
        guard chains.changed.allSatisfy({ $0.old.hook == $0.new.hook }),
            sets.changed.allSatisfy({ $0.old.members.keyType == $0.new.members.keyType }),
            maps.changed.allSatisfy({ $0.old.field == $0.new.field })
        else { return nil }
        var encoder = NftEncoder(table: new)
        // A name is enough for what is there already.
        for name in new.sets.map(\.name) + new.maps.map(\.name) { encoder.setIDs[name] = .max }

        // First whatever refers to something, so that what is referred to can go.
        let members = maps.changed.map { map in
            (map.new.name, Difference(map.old.elements, map.new.elements, by: \.key))
        }
        for (name, difference) in members {
            try encoder.encode(
                members: difference.removed + difference.changed.map(\.old), of: name, NFT_MSG_DELSETELEM)
        }
        for map in maps.removed {
            try encoder.encode(members: map.elements, of: map.name, NFT_MSG_DELSETELEM)
        }
        for chain in chains.changed.map(\.new) + chains.removed { try encoder.removeRules(of: chain.name) }
        for name in sets.removed.map(\.name) + maps.removed.map(\.name) { try encoder.removeSet(named: name) }
        for chain in chains.removed { try encoder.removeChain(named: chain.name) }

        for set in sets.added { try encoder.encode(set) }
        for set in sets.changed {
            try encoder.removeMembers(of: set.new.name)
            try encoder.encode(members: set.new.members.elements, of: set.new.name)
        }
        for map in maps.added { try encoder.encode(map) }
        for chain in chains.added { try encoder.encode(chain) }
        for (name, difference) in members {
            try encoder.encode(members: difference.changed.map(\.new) + difference.added, of: name)
        }
        for map in maps.added { try encoder.encode(members: map.elements, of: map.name) }
        for chain in chains.added + chains.changed.map(\.new) {
            for rule in chain.rules { try encoder.encode(rule, in: chain.name) }
        }
        return encoder.messages
    }

    /// What two lists of named things differ in.
    private struct Difference<Item: Equatable> {
        var added: [Item] = []
        var removed: [Item] = []
        var changed: [(old: Item, new: Item)] = []

        init<Name: Hashable>(_ old: [Item], _ new: [Item], by name: (Item) -> Name) {
            var rest = Dictionary(old.map { (name($0), $0) }) { first, _ in first }
            for item in new {
                guard let before = rest.removeValue(forKey: name(item)) else {
                    added.append(item)
                    continue
                }
                if before != item { changed.append((before, item)) }
            }
            removed = old.filter { rest[name($0)] != nil }
        }
    }

    private mutating func removeRules(of chain: String) throws {
        let object = try allocated(nftnl_rule_alloc())
        defer { nftnl_rule_free(object) }
        nftnl_rule_set_str(object, UInt16(NFTNL_RULE_TABLE.rawValue), table.name)
        nftnl_rule_set_str(object, UInt16(NFTNL_RULE_CHAIN.rawValue), chain)
        emit(NFT_MSG_DELRULE, 0) { nftnl_rule_nlmsg_build_payload($0, object) }
    }

    private mutating func removeChain(named name: String) throws {
        let object = try allocated(nftnl_chain_alloc())
        defer { nftnl_chain_free(object) }
        nftnl_chain_set_str(object, UInt16(NFTNL_CHAIN_TABLE.rawValue), table.name)
        nftnl_chain_set_str(object, UInt16(NFTNL_CHAIN_NAME.rawValue), name)
        emit(NFT_MSG_DELCHAIN, 0) { nftnl_chain_nlmsg_build_payload($0, object) }
    }

    private mutating func removeSet(named name: String) throws {
        let object = try allocated(nftnl_set_alloc())
        defer { nftnl_set_free(object) }
        nftnl_set_set_str(object, UInt16(NFTNL_SET_TABLE.rawValue), table.name)
        nftnl_set_set_str(object, UInt16(NFTNL_SET_NAME.rawValue), name)
        emit(NFT_MSG_DELSET, 0) { nftnl_set_nlmsg_build_payload($0, object) }
    }

    /// All of them: without a list of members the kernel empties the set.
    private mutating func removeMembers(of name: String) throws {
        let object = try allocated(nftnl_set_alloc())
        defer { nftnl_set_free(object) }
        nftnl_set_set_str(object, UInt16(NFTNL_SET_TABLE.rawValue), table.name)
        nftnl_set_set_str(object, UInt16(NFTNL_SET_NAME.rawValue), name)
        emit(NFT_MSG_DELSETELEM, 0) { nftnl_set_elems_nlmsg_build_payload($0, object) }
    }
}
