import CNetfilter
import Glibc
import TrammelCore

/// Adds the kernel's expressions for matches and actions to a rule: each match loads a register and compares it.
///
/// The rule owns what is added to it.
struct ExpressionWriter {
    let rule: OpaquePointer?

    private static let register = UInt32(NFT_REG_1.rawValue)
    private static let secondRegister = UInt32(NFT_REG_2.rawValue)
    private static let tcpPortOffset: UInt32 = 2
    private static let tcpFlagsOffset: UInt32 = 13

    func write(_ match: Ruleset.Match) {
        switch match {
        case .socketCgroup(let id, let level):
            add("socket") { expression in
                set(expression, NFTNL_EXPR_SOCKET_KEY, NFT_SOCKET_CGROUPV2.rawValue)
                set(expression, NFTNL_EXPR_SOCKET_LEVEL, level)
                set(expression, NFTNL_EXPR_SOCKET_DREG, Self.register)
            }
            compare(withUnsafeBytes(of: id, Array.init))
        case .mark(let value, let mask):
            meta(NFT_META_MARK)
            and(withUnsafeBytes(of: mask, Array.init))
            compare(withUnsafeBytes(of: value, Array.init))
        case .fromLoopback(let isLoopback):
            meta(NFT_META_IIFNAME)
            compare(Array("lo".utf8) + [UInt8](repeating: 0, count: 14), isLoopback ? NFT_CMP_EQ : NFT_CMP_NEQ)
        case .destinationNotUnicast:
            add("fib") { expression in
                set(expression, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE.rawValue)
                set(expression, NFTNL_EXPR_FIB_FLAGS, NFTA_FIB_F_DADDR.rawValue)
                set(expression, NFTNL_EXPR_FIB_DREG, Self.register)
            }
            compare(withUnsafeBytes(of: UInt32(RTN_UNICAST), Array.init), NFT_CMP_NEQ)
        case .tcp:
            meta(NFT_META_L4PROTO)
            compare([UInt8(IPPROTO_TCP)])
        case .udp:
            meta(NFT_META_L4PROTO)
            compare([UInt8(IPPROTO_UDP)])
        case .ipv4:
            meta(NFT_META_NFPROTO)
            compare([UInt8(NFPROTO_IPV4)])
        case .ipv6:
            meta(NFT_META_NFPROTO)
            compare([UInt8(NFPROTO_IPV6)])
        case .destinationPort(let port):
            payload(NFT_PAYLOAD_TRANSPORT_HEADER, offset: Self.tcpPortOffset, length: 2)
            compare(withUnsafeBytes(of: port.bigEndian, Array.init))
        case .tcpSyn:
            tcpFlags(0x02, of: Self.finSynResetAck)
        case .tcpSynAck:
            tcpFlags(0x12, of: Self.finSynResetAck)
        case .tcpReset:
            tcpFlags(0x04, of: 0x04)
        case .transparentSocket:
            add("socket") { expression in
                set(expression, NFTNL_EXPR_SOCKET_KEY, NFT_SOCKET_TRANSPARENT.rawValue)
                set(expression, NFTNL_EXPR_SOCKET_DREG, Self.register)
            }
            compare([1])
        case .destinationIn(let name, let family):
            write(family == .v4 ? .ipv4 : .ipv6)
            payload(
                NFT_PAYLOAD_NETWORK_HEADER, offset: family == .v4 ? 16 : 24, length: UInt32(family.bits / 8))
            add("lookup") { expression in
                set(expression, NFTNL_EXPR_LOOKUP_SREG, Self.register)
                nftnl_expr_set_str(expression, UInt16(NFTNL_EXPR_LOOKUP_SET), name)
            }
        case .conntrackInvalid:
            add("ct") { expression in
                set(expression, NFTNL_EXPR_CT_KEY, NFT_CT_STATE.rawValue)
                set(expression, NFTNL_EXPR_CT_DREG, Self.register)
            }
            // NF_CT_STATE_INVALID_BIT
            and(withUnsafeBytes(of: UInt32(1), Array.init))
            compare(withUnsafeBytes(of: UInt32(0), Array.init), NFT_CMP_NEQ)
        }
    }

    func write(_ action: Ruleset.Action) {
        switch action {
        case .accept: verdict(NF_ACCEPT)
        case .drop: verdict(NF_DROP)
        case .setMark(let value):
            meta(NFT_META_MARK)
            and(withUnsafeBytes(of: ~Marks.mask, Array.init), xor: withUnsafeBytes(of: value, Array.init))
            add("meta") { expression in
                set(expression, NFTNL_EXPR_META_KEY, NFT_META_MARK.rawValue)
                set(expression, NFTNL_EXPR_META_SREG, Self.register)
            }
        case .tproxy(let endpoint):
            immediate(endpoint.address.networkBytes, Self.register)
            immediate(withUnsafeBytes(of: endpoint.port.bigEndian, Array.init), Self.secondRegister)
            add("tproxy") { expression in
                let family = endpoint.address.family == .v4 ? NFPROTO_IPV4 : NFPROTO_IPV6
                set(expression, NFTNL_EXPR_TPROXY_FAMILY, UInt32(family))
                set(expression, NFTNL_EXPR_TPROXY_REG_ADDR, Self.register)
                set(expression, NFTNL_EXPR_TPROXY_REG_PORT, Self.secondRegister)
            }
            verdict(NF_ACCEPT)
        case .redirect(let port):
            immediate(withUnsafeBytes(of: port.bigEndian, Array.init), Self.register)
            add("redir") { set($0, NFTNL_EXPR_REDIR_REG_PROTO_MIN, Self.register) }
        case .reset:
            add("reject") { expression in
                set(expression, NFTNL_EXPR_REJECT_TYPE, UInt32(NFT_REJECT_TCP_RST.rawValue))
                nftnl_expr_set_u8(expression, UInt16(NFTNL_EXPR_REJECT_CODE), 0)
            }
        }
    }

    func counter() { add("counter") { _ in } }

    // MARK: Expressions

    private func add(_ name: String, _ fill: (OpaquePointer?) -> Void) {
        let expression = nftnl_expr_alloc(name)
        fill(expression)
        nftnl_rule_add_expr(rule, expression)
    }

    private func set(_ expression: OpaquePointer?, _ attribute: Int, _ value: UInt32) {
        nftnl_expr_set_u32(expression, UInt16(attribute), value)
    }

    private func meta(_ key: nft_meta_keys) {
        add("meta") { expression in
            set(expression, NFTNL_EXPR_META_KEY, key.rawValue)
            set(expression, NFTNL_EXPR_META_DREG, Self.register)
        }
    }

    private func payload(_ base: nft_payload_bases, offset: UInt32, length: UInt32) {
        add("payload") { expression in
            set(expression, NFTNL_EXPR_PAYLOAD_BASE, base.rawValue)
            set(expression, NFTNL_EXPR_PAYLOAD_OFFSET, offset)
            set(expression, NFTNL_EXPR_PAYLOAD_LEN, length)
            set(expression, NFTNL_EXPR_PAYLOAD_DREG, Self.register)
        }
    }

    private static let finSynResetAck: UInt8 = 0x17

    private func tcpFlags(_ value: UInt8, of mask: UInt8) {
        write(.tcp)
        payload(NFT_PAYLOAD_TRANSPORT_HEADER, offset: Self.tcpFlagsOffset, length: 1)
        and([mask])
        compare([value])
    }

    private func compare(_ data: [UInt8], _ operation: nft_cmp_ops = NFT_CMP_EQ) {
        add("cmp") { expression in
            set(expression, NFTNL_EXPR_CMP_SREG, Self.register)
            set(expression, NFTNL_EXPR_CMP_OP, operation.rawValue)
            nftnl_expr_set(expression, UInt16(NFTNL_EXPR_CMP_DATA), data, UInt32(data.count))
        }
    }

    private func and(_ mask: [UInt8], xor: [UInt8]? = nil) {
        let xor = xor ?? [UInt8](repeating: 0, count: mask.count)
        add("bitwise") { expression in
            set(expression, NFTNL_EXPR_BITWISE_SREG, Self.register)
            set(expression, NFTNL_EXPR_BITWISE_DREG, Self.register)
            set(expression, NFTNL_EXPR_BITWISE_LEN, UInt32(mask.count))
            nftnl_expr_set(expression, UInt16(NFTNL_EXPR_BITWISE_MASK), mask, UInt32(mask.count))
            nftnl_expr_set(expression, UInt16(NFTNL_EXPR_BITWISE_XOR), xor, UInt32(xor.count))
        }
    }

    private func immediate(_ data: [UInt8], _ register: UInt32) {
        add("immediate") { expression in
            set(expression, NFTNL_EXPR_IMM_DREG, register)
            nftnl_expr_set(expression, UInt16(NFTNL_EXPR_IMM_DATA), data, UInt32(data.count))
        }
    }

    private func verdict(_ verdict: Int32) {
        add("immediate") { expression in
            set(expression, NFTNL_EXPR_IMM_DREG, UInt32(NFT_REG_VERDICT.rawValue))
            set(expression, NFTNL_EXPR_IMM_VERDICT, UInt32(bitPattern: verdict))
        }
    }
}
