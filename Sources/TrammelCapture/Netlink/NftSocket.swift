import CNetfilter
import Glibc
import TrammelCore

/// nftables in one network namespace.
struct NftSocket: ~Copyable {
    var socket: NetlinkSocket

    /// Opened in the network namespace that the calling thread is in.
    /// - Parameter closesAtOnce: for one that owns tables, which go with it.
    init(closesAtOnce: Bool = false) throws {
        socket = try NetlinkSocket(family: NETLINK_NETFILTER, closesAtOnce: closesAtOnce)
    }

    /// Takes over a socket that owns tables.
    init(owner descriptor: CInt) throws { socket = try NetlinkSocket(adopting: descriptor) }

    /// Puts the table in place of whatever bears its name, in one transaction.
    mutating func replace(_ table: NftTable) throws {
        if try comment(ofTable: table.name) == nil {
            do {
                return try socket.transact(NftEncoder.create(table))
            } catch is NetlinkFailure {
                // Somebody has made one meanwhile; or the kernel says below why it refuses the rules.
            }
        }
        let messages = try NftEncoder.replace(table)
        do {
            try socket.transact(messages)
        } catch let failure as NetlinkFailure {
            throw NftSocket.refusal(failure, of: messages, "install the capture rules")
        }
    }

    /// Asks the kernel whether it would accept the table, and changes nothing. Nil when it would.
    mutating func refusal(of table: NftTable) throws -> TrammelError? {
        let messages = try NftEncoder.replace(table)
        do {
            try socket.transact(messages, commit: false)
            return nil
        } catch let failure as NetlinkFailure {
            return NftSocket.refusal(failure, of: messages, "check the capture rules")
        }
    }

    /// Removes the table; one that is not there is no error.
    mutating func remove(tableNamed name: String) throws {
        let messages = try NftEncoder.remove(named: name)
        do {
            try socket.transact(messages)
        } catch let failure as NetlinkFailure {
            throw NftSocket.refusal(failure, of: messages, "remove the capture rules")
        }
    }

    /// The same, without a trace in the namespace where it is not: making and removing it would be two events.
    mutating func removeIfThere(tableNamed name: String) throws {
        if try comment(ofTable: name) != nil { try remove(tableNamed: name) }
    }

    /// The comment of a table: nil where there is no such table, empty where it says nothing.
    mutating func comment(ofTable name: String) throws -> String? {
        var message = NetlinkMessage(type: NftSocket.type(NFT_MSG_GETTABLE), flags: 0)
        message.append(fixed: nfgenmsg(nfgen_family: UInt8(NFPROTO_INET), version: UInt8(NFNETLINK_V0), res_id: 0))
        message.append(NFTA_TABLE_NAME.rawValue, bytes: Array(name.utf8) + [0])
        var comment: String?
        do {
            try socket.request(message) { reply in
                let bytes = reply.payload
                guard let (_, attributes) = bytes.leading(nfgenmsg.self) else { return }
                comment = ""
                for attribute in NetlinkAttributes(attributes)
                where attribute.type == Int(NFTA_TABLE_USERDATA.rawValue) {
                    // Type 0, length, text: see NftEncoder.userdata.
                    let data = attribute.bytes
                    guard data.count > 2, data[0] == 0, Int(data[1]) <= data.count - 2 else { continue }
                    comment = String(decoding: data[2..<(2 + Int(data[1]))].prefix { $0 != 0 }, as: UTF8.self)
                }
            }
        } catch let failure as NetlinkFailure where NftSocket.isAbsence(failure.code) {
            return nil
        } catch let failure as NetlinkFailure {
            throw TrammelError.kernel("look for the capture rules", errno: failure.code, token: "nftables")
        }
        return comment
    }

    static func type(_ message: nf_tables_msg_types) -> UInt16 {
        UInt16(NFNL_SUBSYS_NFTABLES) << 8 | UInt16(message.rawValue)
    }

    private static func refusal(
        _ failure: NetlinkFailure, of messages: [NetlinkMessage], _ what: String
    ) -> TrammelError {
        let place = failure.message.map { " (message \($0 + 1) of \(messages.count))" } ?? ""
        if failure.code == EPERM, geteuid() == 0 {
            return TrammelError(
                .conflict, code: "nftables-owned",
                "could not \(what)\(place): the table belongs to another process that lives (`flags owner`)",
                hint: "an agent's rules for a workload that fails open: ask that agent, by `trammel detach` or "
                    + "`trammel bypass on`, or end it")
        }
        let hint =
            [ENOENT, EOPNOTSUPP, EPROTONOSUPPORT].contains(failure.code)
            ? "the kernel lacks an nftables module that they need: nft_tproxy, nft_socket, nft_redir, nft_fib_inet, "
                + "nft_reject_inet"
            : nil
        return .kernel(what + place, errno: failure.code, token: "nftables", hint: hint)
    }
}
