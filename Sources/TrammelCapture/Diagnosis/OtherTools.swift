import CNetfilter
import Glibc
import TrammelCore

/// What others have in netfilter, in one network namespace, told by the names that they give to theirs.
package struct OtherTools: Hashable, Sendable {
    /// Tables and chains by the tool that makes them: `Docker`, and of that `DOCKER-USER in ip filter`.
    package var found: [String: [String]] = [:]
    /// Of the tools found, those that capture a workload's traffic themselves.
    package var rivals: Set<String> = []
    /// Tables whose chain FORWARD lets through only what a rule accepts: `ip filter`.
    package var closedForward: [String] = []
    /// Tables of the iptables of old that hold rules, and those of iptables over nftables.
    package var legacyRules: [String] = []
    package var translatedRules: [String] = []

    /// Names of tables, or beginnings of the names of chains.
    private static let signatures: [(tool: String, tables: Set<String>, chains: [String], isRival: Bool)] = [
        ("firewalld", ["firewalld"], [], false), ("Docker", [], ["DOCKER"], false),
        ("kube-proxy", ["kube-proxy"], ["KUBE-"], false), ("Calico", ["calico"], ["cali-"], false),
        ("Cilium", [], ["CILIUM_"], false), ("Flannel", ["flannel-ipv4", "flannel-ipv6"], ["FLANNEL-"], false),
        ("CNI plugins", [], ["CNI-"], false), ("libvirt", ["libvirt_network"], ["LIBVIRT_"], false),
        ("ufw", [], ["ufw-", "ufw6-"], false), ("Istio", ["istio"], ["ISTIO_"], true),
        ("Linkerd", [], ["PROXY_INIT_"], true), ("Kuma", [], ["KUMA_MESH_"], true),
        ("Consul", [], ["CONSUL_PROXY_"], true), ("App Mesh", [], ["APPMESH_"], true),
    ]

    /// Takes note of a chain.
    /// - Parameter table: with its family, `ip nat`.
    /// - Parameter isClosed: its policy is to drop.
    package mutating func note(chain: String, in table: String, isClosed: Bool) {
        let name = table.split(separator: " ").last.map(String.init) ?? table
        let isOfIptables = table == "ip filter" || table == "ip6 filter"
        if chain == "FORWARD", isClosed, isOfIptables { closedForward.append(table) }
        guard name != "trammel" else { return }
        for (tool, tables, chains, isRival) in Self.signatures
        where tables.contains(name) || chains.contains(where: chain.hasPrefix) {
            found[tool, default: []].append("\(chain) in \(table)")
            if isRival { rivals.insert(tool) }
            return
        }
    }

    /// The chains of `iptables-save`: `*nat` begins a table, `:NAME POLICY [0:0]` is a chain.
    package mutating func note(saved text: String, family: String) {
        var table = ""
        for line in text.split(separator: "\n") {
            if line.first == "*" { table = "\(family) \(line.dropFirst())" }
            guard line.first == ":" else { continue }
            let words = line.dropFirst().split(separator: " ")
            guard words.count > 1 else { continue }
            note(chain: String(words[0]), in: table, isClosed: words[1] == "DROP")
        }
    }

    /// In the network namespace of the calling thread.
    static func read() throws -> OtherTools {
        var tools = OtherTools()
        try NftSocket.eachChain { tools.note(chain: $0, in: $1, isClosed: $2) }
        tools.legacyRules = LegacyTables.withRules()
        tools.translatedRules = try NftSocket.tablesOfIptables()
        for (family, program) in [("ip", "iptables-legacy-save"), ("ip6", "ip6tables-legacy-save")]
        where tools.legacyRules.contains(where: { $0.hasPrefix("\(family) ") }) {
            // A child is in the namespace of the thread that starts it.
            guard let saved = try? BoundedCommand.run("/usr/sbin/\(program)", []), saved.status == 0 else { continue }
            tools.note(saved: saved.output, family: family)
        }
        // Three lines of headings, then what it balances.
        let balanced = (try? SystemFile.read("/proc/thread-self/net/ip_vs"))?.split(separator: "\n").dropFirst(3) ?? []
        if !balanced.isEmpty {
            tools.found["kube-proxy or another user of IPVS", default: []].append("services of IPVS")
        }
        return tools
    }
}

extension NftSocket {
    private static let families: [Int32: String] = [
        Int32(NFPROTO_IPV4): "ip", Int32(NFPROTO_IPV6): "ip6", Int32(NFPROTO_INET): "inet",
        Int32(NFPROTO_BRIDGE): "bridge", Int32(NFPROTO_ARP): "arp",
        Int32(NFPROTO_NETDEV): "netdev",
    ]

    /// Every chain of this namespace: its name, its table's with the family, and whether its policy is to drop.
    fileprivate static func eachChain(_ body: (_ chain: String, _ table: String, _ isClosed: Bool) -> Void) throws {
        var nft = try NftSocket()
        var message = NetlinkMessage(type: type(NFT_MSG_GETCHAIN), flags: 0)
        message.append(fixed: nfgenmsg(nfgen_family: UInt8(AF_UNSPEC), version: UInt8(NFNETLINK_V0), res_id: 0))
        do {
            try nft.socket.dump(message) { reply in
                guard let (header, attributes) = reply.payload.leading(nfgenmsg.self) else { return }
                var name = "", table = ""
                var isClosed = false
                for attribute in NetlinkAttributes(attributes) {
                    switch UInt32(attribute.type) {
                    case NFTA_CHAIN_TABLE.rawValue: table = attribute.text
                    case NFTA_CHAIN_NAME.rawValue: name = attribute.text
                    // NF_DROP is 0, in whatever order of bytes.
                    case NFTA_CHAIN_POLICY.rawValue: isClosed = attribute.bytes.allSatisfy { $0 == 0 }
                    default: break
                    }
                }
                body(name, "\(families[Int32(header.nfgen_family)] ?? "?") \(table)", isClosed)
            }
        } catch let failure as NetlinkFailure where failure.code == EINTR || NftSocket.isAbsence(failure.code) {
            // What was listed was there; without nftables there is none.
        } catch let failure as NetlinkFailure {
            throw TrammelError.kernel("list the chains of others", errno: failure.code, token: "nftables")
        }
    }
}

extension WorkloadCapture {
    /// In the agent's own network namespace, which is the host's.
    package func otherTools() throws -> OtherTools { try OtherTools.read() }
}
