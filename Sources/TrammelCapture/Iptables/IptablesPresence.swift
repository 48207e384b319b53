import CNetfilter
import Glibc
import TrammelCore

/// Which variants of iptables have anything in a network namespace, found out without running a program: most
/// namespaces have nothing, and every attach, detach and cleanup asks.
enum IptablesPresence {
    /// Whether any variant has a table here at all: asked before programs are looked for, which costs more.
    static func isPossible() throws -> Bool {
        var nft = try NftSocket()
        return try !nft.iptablesChains().isEmpty || !legacyFamilies().isEmpty
    }

    /// The variants that hold chains of Trammel's. In the network namespace of the calling thread.
    static func ofTrammels(among programs: [IptablesPrograms]) throws -> [IptablesPrograms] {
        var nft = try NftSocket()
        let chains = try nft.iptablesChains()
        return try programs.filter { program in
            switch program.variant {
            case .nft:
                return chains.contains { $0.name.hasPrefix(IptablesRuleset.prefix) }
            case .legacy:
                return try legacyFamilies().contains { try IptablesCommand.save(program, $0).isTrammels }
            }
        }
    }

    /// The families in which the kernel's older tables are in use here; a look at them costs no table.
    static func legacyFamilies() -> [IPAddress.Family] {
        [IPAddress.Family.v4, .v6].filter { family in
            let names = "/proc/thread-self/net/ip\(family == .v4 ? "" : "6")_tables_names"
            return !((try? SystemFile.read(names)) ?? "").isEmpty
        }
    }

    /// What of iptables is in use here in a family: by variant.
    static func dump(_ program: IptablesPrograms, _ family: IPAddress.Family) throws -> IptablesDump {
        switch program.variant {
        case .legacy where !legacyFamilies().contains(family): return IptablesDump()
        case .nft:
            var nft = try NftSocket()
            guard try nft.iptablesChains().contains(where: { $0.family == family }) else { return IptablesDump() }
            return try IptablesCommand.save(program, family)
        default: return try IptablesCommand.save(program, family)
        }
    }
}

extension NftSocket {
    /// A chain of one of the tables that iptables-nft works on.
    struct IptablesNftChain: Hashable {
        let family: IPAddress.Family
        let table: String
        let name: String
    }

    /// The chains of all tables of the families ip and ip6. None where the kernel has no nftables.
    mutating func iptablesChains() throws -> [IptablesNftChain] {
        var chains: [IptablesNftChain] = []
        for (family, number) in [(IPAddress.Family.v4, NFPROTO_IPV4), (.v6, NFPROTO_IPV6)] {
            var message = NetlinkMessage(type: NftSocket.type(NFT_MSG_GETCHAIN), flags: 0)
            message.append(fixed: nfgenmsg(nfgen_family: UInt8(number), version: UInt8(NFNETLINK_V0), res_id: 0))
            do {
                try socket.dump(message) { reply in
                    guard let (_, attributes) = reply.payload.leading(nfgenmsg.self) else { return }
                    var table = ""
                    var name = ""
                    for attribute in NetlinkAttributes(attributes) {
                        switch UInt32(attribute.type) {
                        case NFTA_CHAIN_TABLE.rawValue: table = attribute.text
                        case NFTA_CHAIN_NAME.rawValue: name = attribute.text
                        default: break
                        }
                    }
                    chains.append(IptablesNftChain(family: family, table: table, name: name))
                }
            } catch let failure as NetlinkFailure where NftSocket.isAbsence(failure.code) {
                return []
            } catch let failure as NetlinkFailure {
                throw TrammelError.kernel("look for iptables' chains", errno: failure.code, token: "nftables")
            }
        }
        return chains
    }

    /// Removes chains of a table of iptables-nft, and the table with them where it is to go, if they hold no rule. The
    /// kernel refuses, and nothing changes, where somebody has put one there meanwhile.
    mutating func remove(
        _ chains: [String], of table: String, andIt isTableToo: Bool, _ family: IPAddress.Family
    ) {
        let number = UInt8(family == .v4 ? NFPROTO_IPV4 : NFPROTO_IPV6)
        func message(_ type: nf_tables_msg_types) -> NetlinkMessage {
            // NLM_F_NONREC: not with what is in it.
            var message = NetlinkMessage(type: NftSocket.type(type), flags: 0x100)
            message.append(fixed: nfgenmsg(nfgen_family: number, version: UInt8(NFNETLINK_V0), res_id: 0))
            return message
        }
        var messages: [NetlinkMessage] = chains.map { chain in
            var removal = message(NFT_MSG_DELCHAIN)
            removal.append(NFTA_CHAIN_TABLE.rawValue, bytes: Array(table.utf8) + [0])
            removal.append(NFTA_CHAIN_NAME.rawValue, bytes: Array(chain.utf8) + [0])
            return removal
        }
        if isTableToo {
            var removal = message(NFT_MSG_DELTABLE)
            removal.append(NFTA_TABLE_NAME.rawValue, bytes: Array(table.utf8) + [0])
            messages.append(removal)
        }
        try? socket.transact(messages)
    }

    /// Whether the kernel says by this that it has no nftables at all.
    static func isAbsence(_ code: Int32) -> Bool { [EINVAL, EOPNOTSUPP, EPROTONOSUPPORT, ENOENT].contains(code) }
}
