import CNetfilter
import Glibc
import TrammelCore

/// Puts a plan into the network namespace of the calling thread, and takes everything of Trammel's out of it again.
///
/// Everything it makes is marked as Trammel's in the kernel itself (the table's name, the origin of rules and routes),
/// so that an agent can clean up after another one that died, and never touches what is not its own.
enum NamespaceCapture {
    /// Idempotent: the namespace is as the plan says when this returns, whatever was there before. The rules come
    /// last, since they are what turns traffic.
    ///
    /// - Parameters:
    ///   - owner: through which a table that `isOwned` is made; it must outlive the capture.
    ///   - parts: what to see to; a table that is put in place of itself begins to count anew.
    ///   - known: the note of the plan's own rules, where they have just been seen to stand.
    static func install(
        _ plan: CapturePlan, hasIPv6: Bool, owner: TableOwner? = nil, parts: Set<CapturePart> = CapturePart.all,
        standing known: String? = nil
    ) throws {
        let standing = try known ?? NamespaceRules.note()
        let before = try previousSettings(standing)
        let plan = noting(before, in: plan)
        do {
            if parts.contains(.sysctl) {
                // An agent that dies in the next moment leaves word of what they were.
                if standing == nil, plan.backend == .nftables { try NamespaceRules.keep(note: before.comment) }
                try NamespaceSettings.switchOn(plan.outboundMode)
            }
            if parts.contains(.routing) {
                try routing(
                    plan.settings, marks: plan.routedMarks, inside: plan.request.outboundFromInterfaces,
                    hasIPv6: hasIPv6)
            }
            guard parts.contains(.table) || parts.contains(.rules) else { return }
            try NamespaceRules.replace(with: plan, owner, alone: !parts.contains(.table), stands: known != nil)
        } catch {
            // An update that fails leaves the rules that stood before it, since the transaction changed nothing.
            if standing == nil { try? remove(restoring: before, owner) }
            throw error
        }
    }

    /// The plan with the note that its table keeps of the sysctls from before.
    static func noting(_ before: NamespaceSettings, in plan: CapturePlan) -> CapturePlan {
        var plan = plan
        plan.comment = before.comment
        return plan
    }

    /// The sysctls from before the first install, as they are noted in the namespace, or are now.
    static func previousSettings() throws -> NamespaceSettings { try previousSettings(NamespaceRules.note()) }

    /// Whether anything of Trammel's is in the namespace.
    static func isPresent() throws -> Bool {
        if try NamespaceRules.note() != nil { return true }
        var route = try RouteSocket()
        return try !route.markRules().isEmpty || !route.ownRoutes().isEmpty
    }

    /// Removes rules first, then what they relied on. Nothing there is no error.
    static func remove(owner: TableOwner? = nil) throws {
        try remove(restoring: previousSettings(), owner)
    }

    /// The sysctls from before the first install, even if that was another agent's.
    private static func previousSettings(_ comment: String?) throws -> NamespaceSettings {
        if let saved = comment.flatMap({ NamespaceSettings(comment: $0) }) { return saved }
        var route = try RouteSocket()
        // Somebody took the table away and the note with it: then they were what the kernel begins with.
        return try route.markRules().isEmpty ? .current() : .kernelDefaults
    }

    private static func remove(restoring settings: NamespaceSettings, _ owner: TableOwner?) throws {
        try NamespaceRules.remove(owner)
        var route = try RouteSocket()
        do {
            for rule in try route.markRules() {
                try route.remove(RouteMessages.rule(add: false, rule))
            }
            for old in try route.ownRoutes() {
                if old.isLocal {
                    try route.remove(
                        RouteMessages.localDefault(
                            add: false, old.family, interface: old.interface, table: old.table))
                } else if let block = old.block {
                    try route.remove(
                        RouteMessages.route(add: false, to: block, interface: old.interface, source: nil))
                }
            }
        } catch let failure as NetlinkFailure {
            throw TrammelError.kernel("remove the capture routes", errno: failure.code, token: "rtnetlink")
        }
        try settings.restore()
    }

    // MARK: Routing

    /// The rules that lead marked packets to lo.
    static func markRules(
        _ settings: CaptureSettings, marks: [UInt32], inside: [String] = [], _ family: IPAddress.Family
    ) -> [RouteSocket.MarkRule] {
        func rule(_ mark: UInt32, _ interface: String? = nil) -> RouteSocket.MarkRule {
            RouteSocket.MarkRule(
                family: family, mark: NftMatch.Mark(value: mark, mask: settings.marks.mask),
                table: settings.routingTable, preference: settings.rulePreference, interface: interface)
        }
        return marks.map { rule($0) } + Set(inside).sorted().map { rule(settings.marks.inside, $0) }
    }

    /// - Parameter inside: the interfaces that machines inside the namespace are behind, where theirs is captured too.
    static func routing(
        _ settings: CaptureSettings, marks: [UInt32], inside: [String] = [], hasIPv6: Bool
    ) throws {
        var route = try RouteSocket()
        do {
            let links = try route.links()
            guard let loopback = links.first(where: \.isLoopback) else {
                throw TrammelError(.unavailable, code: "loopback-missing", "the namespace has no loopback interface")
            }
            let families: [IPAddress.Family] = hasIPv6 ? [.v4, .v6] : [.v4]
            let wanted = families.flatMap { markRules(settings, marks: marks, inside: inside, $0) }
            let present = Set(try route.markRules())
            for family in families {
                try route.add(
                    RouteMessages.localDefault(
                        add: true, family, interface: loopback.index, table: settings.routingTable))
            }
            // Without a look at what is there the kernel would hold the same rule twice.
            for rule in wanted where !present.contains(rule) {
                try route.add(RouteMessages.rule(add: true, rule))
            }
            for rule in present where !wanted.contains(rule) {
                try route.remove(RouteMessages.rule(add: false, rule))
            }
            try coverVirtualRanges(settings.virtualRanges, links, hasIPv6: hasIPv6, &route)
        } catch let failure as NetlinkFailure {
            throw TrammelError.kernel("add the capture routes", errno: failure.code, token: "rtnetlink")
        }
    }

    /// A connect to an address without a route fails before any rule sees it, so a namespace without a default route
    /// gets one to the virtual addresses: through the interface of its first address, or lo where it has none.
    private static func coverVirtualRanges(
        _ ranges: [CIDR], _ links: [RouteSocket.Link], hasIPv6: Bool, _ route: inout RouteSocket
    ) throws {
        for cover in try uncovered(ranges, links, hasIPv6: hasIPv6, &route) {
            try route.add(
                RouteMessages.route(add: true, to: cover.range, interface: cover.interface, source: cover.source))
        }
    }

    /// The virtual addresses that there is no route to, each with the interface and source of the one that could be.
    static func uncovered(
        _ ranges: [CIDR], _ links: [RouteSocket.Link], hasIPv6: Bool, _ route: inout RouteSocket
    ) throws -> [(range: CIDR, interface: UInt32, source: IPAddress)] {
        var covers: [(range: CIDR, interface: UInt32, source: IPAddress)] = []
        var addresses: [RouteSocket.Address]?
        for range in ranges where hasIPv6 || range.base.family == .v4 {
            if try route.hasRoute(to: range.base) { continue }
            let known = try addresses ?? route.addresses()
            addresses = known
            let up = Set(links.filter { $0.isUp && !$0.isLoopback }.map(\.index))
            if let own = known.first(where: {
                $0.isGlobal && $0.address.family == range.base.family && up.contains($0.interface)
            }) {
                covers.append((range, own.interface, own.address))
            } else if range.base.family == .v4, let loopback = links.first(where: { $0.isLoopback && $0.isUp }) {
                covers.append((range, loopback.index, .loopbackV4))
            }
        }
        return covers
    }
}
