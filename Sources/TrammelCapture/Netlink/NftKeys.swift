import CNetfilter
import TrammelCore

/// The type of a set's key. The kernel wants its length only; the identifier is nft's own number for the type, by
/// which `nft list` knows how to print the members (its `enum datatypes`; a concatenation packs 6 bits for each).
struct NftKeyType: Equatable {
    let identifier: UInt32
    let length: UInt32

    static let ipv4 = NftKeyType(identifier: 7, length: 4)
    static let ipv6 = NftKeyType(identifier: 8, length: 16)
    static let port = NftKeyType(identifier: 13, length: 2)
    static let mark = NftKeyType(identifier: 19, length: 4)
    static let user = NftKeyType(identifier: 24, length: 4)
    static let cgroup = NftKeyType(identifier: 46, length: 8)
    static let interface = NftKeyType(identifier: 41, length: 16)
    static let addressKind = NftKeyType(identifier: 38, length: 4)

    /// Each field of a concatenation is padded to four bytes.
    static func concatenation(_ fields: [NftKeyType]) -> NftKeyType {
        fields.reduce(NftKeyType(identifier: 0, length: 0)) {
            NftKeyType(identifier: $0.identifier << 6 | $1.identifier, length: $0.length + ($1.length + 3) & ~3)
        }
    }

    static func address(_ family: IPAddress.Family) -> NftKeyType { family == .v4 ? .ipv4 : .ipv6 }
}

struct NftSetElement: Equatable {
    let key: [UInt8]
    /// The other end of a range of concatenated fields.
    var lastKey: [UInt8]? = nil
    var isIntervalEnd = false
    /// Of a verdict map's member.
    var verdict: NftVerdictMap.Verdict?
}

extension NftSet.Members {
    var keyType: NftKeyType {
        switch self {
        case .blocks(let family, _): .address(family)
        case .ports: .port
        case .destinations(let family, _): .concatenation([.address(family), .port])
        case .remembered(let family, _, _): .concatenation([.address(family), .port, .address(family), .port])
        case .interfaces: .interface
        case .connections(let family, _):
            .concatenation([.address(family), .port, .address(family), .port])
        }
    }

    var elements: [NftSetElement] {
        switch self {
        case .blocks(let family, let blocks):
            NftIntervals(blocks, family: family).borders.map {
                NftSetElement(key: $0.address.networkBytes, isIntervalEnd: $0.isEnd)
            }
        case .ports(let ports):
            Set(ports).sorted().map { NftSetElement(key: bigEndianBytes($0)) }
        case .remembered:
            []
        case .destinations(let family, let destinations):
            NftDestinations(destinations, family: family).ranges.map { range in
                let port = bigEndianBytes(range.port) + [0, 0]
                return NftSetElement(
                    key: IPAddress(number: range.first, family: family).networkBytes + port,
                    lastKey: IPAddress(number: range.last, family: family).networkBytes + port)
            }
        case .interfaces(let names):
            Set(names).sorted().map { NftSetElement(key: interfaceKey($0)) }
        case .connections(_, let tuples):
            Set(tuples).map { tuple in
                NftSetElement(
                    key: tuple.source.address.networkBytes + bigEndianBytes(tuple.source.port) + [0, 0]
                        + tuple.destination.address.networkBytes + bigEndianBytes(tuple.destination.port) + [0, 0])
            }.sorted { $0.key.lexicographicallyPrecedes($1.key) }
        }
    }
}

extension NftSet.Members {
    /// For a set that needs to be told of them: its flags, what each field of a concatenation takes, how long a member
    /// stays by default and how many there may be.
    var layout: (flags: UInt32, fields: [UInt8], seconds: UInt32?, most: UInt32?) {
        switch self {
        case .blocks: (NFT_SET_INTERVAL.rawValue, [], nil, nil)
        case .ports, .interfaces, .connections: (0, [], nil, nil)
        case .destinations(let family, _):
            (NFT_SET_INTERVAL.rawValue | NFT_SET_CONCAT.rawValue, [UInt8(family.bits / 8), 2], nil, nil)
        case .remembered(_, let seconds, let most):
            (NFT_SET_TIMEOUT.rawValue | NFT_SET_EVAL.rawValue, [], seconds, most)
        }
    }
}

extension NftMatch {
    /// The members of the set that a match brings with it, where it brings one.
    var constants: (type: NftKeyType, elements: [NftSetElement])? {
        switch self {
        case .ports(_, _, let ports):
            (.port, Set(ports).sorted().map { NftSetElement(key: bigEndianBytes($0)) })
        case .localDestination:
            // RTN_LOCAL, RTN_BROADCAST, RTN_ANYCAST, RTN_MULTICAST of linux/rtnetlink.h, in host order.
            (.addressKind, [2, 3, 4, 5].map { NftSetElement(key: hostBytes(UInt32($0))) })
        default:
            nil
        }
    }
}

func bigEndianBytes<N: FixedWidthInteger & BitwiseCopyable>(_ number: N) -> [UInt8] {
    withUnsafeBytes(of: number.bigEndian, Array.init)
}

func hostBytes<N: FixedWidthInteger & BitwiseCopyable>(_ number: N) -> [UInt8] {
    withUnsafeBytes(of: number, Array.init)
}

/// The kernel compares the whole 16 bytes of an interface's name.
func interfaceKey(_ name: String) -> [UInt8] {
    let bytes = Array(name.utf8.prefix(15))
    return bytes + [UInt8](repeating: 0, count: 16 - bytes.count)
}
