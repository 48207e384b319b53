import CNetfilter
import Glibc
package import TrammelCore

/// What of a workload's namespace may bear on capture, as it is now.
package struct NamespaceDiagnosis: Sendable {
    /// Whether sockets can be bound to ::1.
    package var hasIPv6 = false
    /// Interfaces whose IPv6 is switched off while others' is not.
    package var withoutIPv6: [String] = []
    /// `rp_filter` where it is 1, strict, by interface; `all` counts for every one.
    package var strictReversePath: [String] = []
    package var hasSourceValidMark = false
    package var load: ConntrackLoad?
    package var tools = OtherTools()
    /// How many connections a listener may let wait: `net.core.somaxconn`.
    package var longestQueue: Int?
    /// Sockets of others that listen on the agent's ports.
    package var strangers: [Stranger] = []

    package struct Stranger: Hashable, Sendable {
        package let endpoint: IPEndpoint
        package let user: UInt32
    }

    /// In the network namespace of the calling thread.
    static func read(_ ports: CapturePorts, agents: Set<UInt64>) throws -> NamespaceDiagnosis {
        var found = NamespaceDiagnosis()
        found.hasIPv6 = ListenerSockets.hasIPv6()
        let conf = "/proc/sys/net/ipv4/conf"
        for name in FileNames.list(in: conf) where SystemFile.number("\(conf)/\(name)/rp_filter") == 1 {
            found.strictReversePath.append(name)
        }
        found.hasSourceValidMark = SystemFile.number("\(conf)/all/src_valid_mark") == 1
        let conf6 = "/proc/sys/net/ipv6/conf"
        let names = FileNames.list(in: conf6).filter { !["all", "default"].contains($0) }
        found.withoutIPv6 = names.filter { SystemFile.number("\(conf6)/\($0)/disable_ipv6") == 1 }
        if found.withoutIPv6.count == names.count { found.withoutIPv6 = [] }
        if var table = try? ConntrackSocket() { found.load = try? table.load() }
        found.tools = try OtherTools.read()
        found.longestQueue = SystemFile.number("/proc/sys/net/core/somaxconn")
        var diagnostics = try SocketDiagnostics()
        for family in [IPAddress.Family.v4, .v6] {
            for socket in try diagnostics.observedSockets(family, states: [TCPSocketInfo.listen])
            where ports.all.contains(socket.info.local.port) {
                guard let cgroup = socket.cgroup, !agents.contains(cgroup) else { continue }
                found.strangers.append(Stranger(endpoint: socket.info.local, user: socket.user))
            }
        }
        return found
    }
}

extension WorkloadCapture {
    package func diagnosis(of id: WorkloadID) throws -> NamespaceDiagnosis {
        let agents = flows.agent.family
        return try sockets.withNetworkNamespace(of: id) {
            try NamespaceDiagnosis.read(settings.ports, agents: agents)
        }
    }

    /// How full the conntrack table of a workload's namespace is; with nil, of the agent's own. Nil where the kernel
    /// has no connection tracking.
    package func conntrackLoad(of id: WorkloadID?) -> ConntrackLoad? {
        func load() throws -> ConntrackLoad {
            var table = try ConntrackSocket()
            return try table.load()
        }
        return try? id.map { try sockets.withNetworkNamespace(of: $0) { try load() } } ?? load()
    }

    /// Whether conntrack counts packets and bytes in the agent's own network namespace, which is the host's.
    package var isHostCounting: Bool { HostFlows.isCounting }

    /// Network namespaces that hold rules or routes of Trammel's and that are not attached here.
    package func leftovers() -> [NetworkNamespace.Target] {
        let attached = Set(attachedNamespaces)
        return CaptureCleanup.discover().filter { target in
            guard let namespace = try? NetworkNamespace(target), !attached.contains(namespace.identity),
                namespace.identity != sockets.home.identity
            else { return false }
            return (try? inside(namespace) { try NamespaceCapture.isPresent() }) ?? false
        }
    }

    /// A process that is in the workload's namespace; nil where none is.
    package func process(of id: WorkloadID) -> Int32? { try? attachment(id).workload.namespace.process }
}

extension SystemFile {
    /// The number that a file holds; nil where there is no such file.
    static func number(_ path: String) -> Int? {
        (try? read(path)).flatMap { Int($0.prefix { $0 != "\n" }) }
    }
}

/// The tables of the iptables of old, which nftables does not show.
enum LegacyTables {
    /// The tables of this namespace that hold a rule, as `ip nat`. Asking about a table that is not there would make it,
    /// so only those that /proc names are asked about.
    static func withRules() -> [String] {
        ["ip", "ip6"].flatMap { family in
            let names = (try? SystemFile.read("/proc/thread-self/net/\(family)_tables_names")) ?? ""
            return names.split(separator: "\n").map(String.init).filter { holdsRules($0, isV6: family == "ip6") }
                .sorted()
                .map { "\(family) \($0)" }
        }
    }

    /// IPT_SO_GET_INFO and IP6T_SO_GET_INFO of linux/netfilter_ipv{4,6}/ip{,6}_tables.h.
    private static let getInfo: CInt = 64

    private static func holdsRules(_ table: String, isV6: Bool) -> Bool {
        let kind = CInt(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue)
        let socket = Descriptor(owning: Glibc.socket(isV6 ? AF_INET6 : AF_INET, kind, CInt(IPPROTO_RAW)))
        // `struct ipt_getinfo`: 32 bytes of name, a mask of hooks, five entries and five underflows, the number of
        // entries, their size; all of them 32 bits.
        var info = [UInt8](repeating: 0, count: 32 + 4 * 13)
        for (index, byte) in table.utf8.prefix(31).enumerated() { info[index] = byte }
        var length = socklen_t(info.count)
        let level = isV6 ? CInt(IPPROTO_IPV6) : CInt(IPPROTO_IP)
        guard getsockopt(socket.number, level, getInfo, &info, &length) == 0 else { return false }
        func word(_ index: Int) -> UInt32 {
            info.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 32 + 4 * index, as: UInt32.self) }
        }
        // An empty table has a policy for each hook and a last entry.
        return word(11) > UInt32(word(0).nonzeroBitCount) + 1
    }
}

extension NftSocket {
    private static let iptablesNames: Set<String> = ["filter", "nat", "mangle", "raw", "security"]

    /// The tables of this namespace by which iptables over nftables keeps its rules, as `ip nat`, that hold any.
    static func tablesOfIptables() throws -> [String] {
        var nft = try NftSocket()
        var message = NetlinkMessage(type: type(NFT_MSG_GETRULE), flags: 0)
        message.append(fixed: nfgenmsg(nfgen_family: UInt8(AF_UNSPEC), version: UInt8(NFNETLINK_V0), res_id: 0))
        var tables: Set<String> = []
        do {
            try nft.socket.dump(message) { reply in
                guard let (header, attributes) = reply.payload.leading(nfgenmsg.self) else { return }
                let family = Int32(header.nfgen_family)
                guard family == AF_INET || family == AF_INET6 else { return }
                for attribute in NetlinkAttributes(attributes) where attribute.type == Int(NFTA_RULE_TABLE.rawValue) {
                    let name = attribute.text
                    if iptablesNames.contains(name) { tables.insert((family == AF_INET ? "ip " : "ip6 ") + name) }
                }
            }
        } catch let failure as NetlinkFailure where failure.code == EINTR {
            // What was listed was there.
        } catch let failure as NetlinkFailure {
            throw TrammelError.kernel("list the rules of others", errno: failure.code, token: "nftables")
        }
        return tables.sorted()
    }
}
