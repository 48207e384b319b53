import CNetfilter
import Glibc
import Synchronization
import TrammelCore

/// Who has changed something, as far as the kernel tells.
struct ChangeAuthor: Hashable, Sendable, CustomStringConvertible {
    let process: String
    let pid: UInt32

    var description: String { "\(process) (process \(pid))" }
}

/// Knows of changes to the rules, routes, links and addresses of attached network namespaces from two netlink sockets in
/// the agent's own, however many are attached.
final class NamespaceEvents: Sendable {
    private struct Sockets: ~Copyable {
        var nftables: EventSocket
        var routes: EventSocket
        /// Whether the transaction that is being told of at home has touched a table of Trammel's.
        var touchesTable = false
    }

    fileprivate struct Followed {
        /// By the number that the agent's namespace has given it.
        var byNumber: [Int32: Set<WorkloadID>] = [:]
        /// In the agent's own.
        var atHome: Set<WorkloadID> = []
    }

    private let home: NetworkNamespace
    private let routingTable: UInt32
    private let sockets: Mutex<Sockets>
    private let followed = Mutex(Followed())
    let descriptors: [CInt]

    init(home: NetworkNamespace, routingTable: UInt32) throws {
        let nftables = try EventSocket(family: NETLINK_NETFILTER, groups: [UInt32(NFNLGRP_NFTABLES.rawValue)])
        let groups = [
            RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
            RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE,
        ].map { UInt32($0.rawValue) }
        let routes = try EventSocket(family: NETLINK_ROUTE, groups: groups)
        self.home = home
        self.routingTable = routingTable
        descriptors = [nftables.descriptor, routes.descriptor]
        sockets = Mutex(Sockets(nftables: nftables, routes: routes))
    }

    /// From now on the namespace's changes are the workload's.
    /// - Returns: whether they were not before.
    @discardableResult
    func follow(_ id: WorkloadID, in namespace: NetworkNamespace) throws -> Bool {
        guard namespace.identity != home.identity else {
            return followed.withLock { $0.atHome.insert(id).inserted }
        }
        var route = try RouteSocket()
        let number: Int32
        do {
            number = try namespace.number(by: &route)
        } catch let failure as NetlinkFailure {
            throw TrammelError.kernel("number a network namespace", errno: failure.code, token: "netlink")
        }
        followed.withLock { followed in
            followed.forget(id)
            followed.byNumber[number, default: []].insert(id)
        }
        return true
    }

    func forget(_ id: WorkloadID) { followed.withLock { $0.forget(id) } }

    /// What others have changed since the last time, with who did it where that is known. Nil when events were lost, so
    /// that anything may have changed.
    ///
    /// Of the host's rules, which many tools change all day and which take long to read back where Trammel has many
    /// members there, only those in tables of Trammel's own count. In a namespace all do: it may hold chains of Trammel's
    /// in tables of iptables'.
    func changes() -> [WorkloadID: ChangeAuthor?]? {
        var changed: [WorkloadID: ChangeAuthor?] = [:]
        func note(_ number: Int32?, _ author: ChangeAuthor?) {
            let workloads = followed.withLock { followed in
                number.map { followed.byNumber[$0] ?? [] } ?? followed.atHome
            }
            for workload in workloads { changed[workload] = .some(author ?? changed[workload] ?? nil) }
        }
        let isWhole = sockets.withLock { sockets in
            var touchesTable = sockets.touchesTable
            defer { sockets.touchesTable = touchesTable }
            let first = sockets.nftables.receive { number, reply in
                // What this agent does, it knows of.
                guard !OwnSockets.contains(reply.header.pointee.nlmsg_pid) else { return }
                if number == nil, NamespaceEvents.isAboutTrammel(reply) { touchesTable = true }
                guard let author = NamespaceEvents.author(reply) else { return }
                if number != nil || touchesTable { note(number, author) }
                if number == nil { touchesTable = false }
            }
            let second = sockets.routes.receive { number, reply in
                if self.concerns(reply) { note(number, nil) }
            }
            return first != .overflow && second != .overflow
        }
        return isWhole ? changed : nil
    }

    /// The first attribute of every message about a table, or what is in one, is that table's name.
    private static func isAboutTrammel(_ reply: NetlinkReply) -> Bool {
        guard reply.header.pointee.nlmsg_type != NftSocket.type(NFT_MSG_NEWGEN),
            let (_, attributes) = reply.payload.leading(nfgenmsg.self),
            let name = NetlinkAttributes(attributes).first(where: { $0.type == Int(NFTA_TABLE_NAME.rawValue) })
        else { return false }
        return name.text.hasPrefix(CapturePlan.tableName)
    }

    /// Every transaction ends with a message that says who made it (NFT_MSG_NEWGEN); the others are passed over.
    private static func author(_ reply: NetlinkReply) -> ChangeAuthor? {
        guard reply.header.pointee.nlmsg_type == NftSocket.type(NFT_MSG_NEWGEN),
            let (_, attributes) = reply.payload.leading(nfgenmsg.self)
        else { return nil }
        var (process, pid) = ("", UInt32(0))
        for attribute in NetlinkAttributes(attributes) {
            switch UInt32(attribute.type) {
            case NFTA_GEN_PROC_NAME.rawValue: process = attribute.text
            case NFTA_GEN_PROC_PID.rawValue: pid = UInt32(bigEndian: attribute.number(UInt32.self) ?? 0)
            default: break
            }
        }
        return ChangeAuthor(process: process, pid: pid)
    }

    /// Routes come and go by the thousand on a router: only Trammel's own and default routes matter here.
    private func concerns(_ reply: NetlinkReply) -> Bool {
        let type = Int32(reply.header.pointee.nlmsg_type)
        guard type == RTM_NEWROUTE || type == RTM_DELROUTE else { return true }
        guard let (header, _) = reply.payload.leading(rtmsg.self) else { return false }
        return header.rtm_protocol == RouteMessages.origin || header.rtm_dst_len == 0
            || UInt32(header.rtm_table) == routingTable
    }
}

extension NamespaceEvents.Followed {
    fileprivate mutating func forget(_ id: WorkloadID) {
        atHome.remove(id)
        for number in byNumber.keys where byNumber[number]?.remove(id) != nil {
            if byNumber[number]?.isEmpty ?? false { byNumber[number] = nil }
        }
    }
}
