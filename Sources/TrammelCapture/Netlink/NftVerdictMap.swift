import CNetfilter
import TrammelCore

/// A named map from what a packet is to where it is judged: one lookup, whatever the number of members.
struct NftVerdictMap: Hashable, Sendable {
    /// What of a packet is looked up.
    enum Field: Hashable, Sendable {
        /// The ancestor at this level of the cgroup of the socket behind the packet.
        case socketCgroup(level: UInt32)
        /// The user that the sending socket belongs to.
        case socketUser
        case tcpDestinationPort
        /// The connection's mark.
        case conntrackMark
    }

    enum Key: Hashable, Sendable {
        case cgroup(CgroupReference)
        case user(UInt32)
        case port(UInt16)
        case mark(UInt32)
    }

    enum Verdict: Hashable, Sendable {
        case goTo(String)
        case accept
    }

    struct Member: Hashable, Sendable {
        let key: Key
        let verdict: Verdict
    }

    let name: String
    let field: Field
    var members: [Member] = []
}

extension NftVerdictMap {
    var keyType: NftKeyType {
        switch field {
        case .socketCgroup: .cgroup
        case .socketUser: .user
        case .tcpDestinationPort: .port
        case .conntrackMark: .mark
        }
    }

    /// Sorted by key.
    var elements: [NftSetElement] {
        members.map { NftSetElement(key: $0.key.bytes, verdict: $0.verdict) }
            .sorted { $0.key.lexicographicallyPrecedes($1.key) }
    }
}

extension NftVerdictMap.Key {
    /// A port as packets carry it, all else as this machine does.
    var bytes: [UInt8] {
        switch self {
        case .cgroup(let cgroup): hostBytes(cgroup.id)
        case .user(let user): hostBytes(user)
        case .port(let port): bigEndianBytes(port)
        case .mark(let mark): hostBytes(mark)
        }
    }
}

// MARK: In the words of nft(8)

extension NftVerdictMap {
    var lines: [String] {
        var lines = ["    map \(name) {", "        type \(typeText) : verdict"]
        let texts = members.sorted { $0.key.order < $1.key.order }.map { "\($0.key.text) : \($0.verdict.text)" }
        if !texts.isEmpty { lines.append("        elements = { \(texts.joined(separator: ", ")) }") }
        return lines + ["    }"]
    }

    private var typeText: String {
        switch field {
        case .socketCgroup: "cgroupsv2"
        case .socketUser: "uid"
        case .tcpDestinationPort: "inet_service"
        case .conntrackMark: "mark"
        }
    }
}

extension NftVerdictMap.Field {
    var text: String {
        switch self {
        case .socketCgroup(let level): "socket cgroupv2 level \(level)"
        case .socketUser: "meta skuid"
        case .tcpDestinationPort: "tcp dport"
        case .conntrackMark: "ct mark"
        }
    }
}

extension NftVerdictMap.Key {
    fileprivate var text: String {
        switch self {
        case .cgroup(let cgroup): "\"\(cgroup.path.dropFirst())\""
        case .user(let user): "\(user)"
        case .port(let port): "\(port)"
        case .mark(let mark): mark.hexadecimalWord
        }
    }

    fileprivate var order: UInt64 {
        switch self {
        case .cgroup(let cgroup): cgroup.id
        case .user(let number), .mark(let number): UInt64(number)
        case .port(let port): UInt64(port)
        }
    }
}

extension NftVerdictMap.Verdict {
    var text: String {
        switch self {
        case .goTo(let chain): "goto \(chain)"
        case .accept: "accept"
        }
    }
}
