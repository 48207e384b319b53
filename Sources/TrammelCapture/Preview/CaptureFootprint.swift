import TrammelCore

/// All that capture puts into a network namespace for one workload, in the words of the programs that show it: what is
/// there, or what would be.
package struct CaptureFootprint: Hashable, Sendable {
    /// A line of a routing rule or route, and the command that prints it.
    package struct Routing: Hashable, Sendable {
        package let command: String
        package let line: String
    }

    /// A sysctl that capture needs to be 1.
    package struct Setting: Hashable, Sendable {
        /// `net.ipv4.tcp_fwmark_accept`
        package let name: String
        /// What it is put back to at a detach; nil where that is not known.
        package let before: String?
    }

    /// As `nft list` or `iptables-save -c` prints them.
    package let rules: String
    package let routing: [Routing]
    package let settings: [Setting]
    package let listeners: [PlannedListener]
}

extension CaptureFootprint {
    /// In the network namespace of the calling thread, whether the plan is in place there or not.
    init(of plan: CapturePlan, rules: String, hasIPv6: Bool) throws {
        let families: [IPAddress.Family] = hasIPv6 ? [.v4, .v6] : [.v4]
        self.rules = rules
        routing = try CaptureFootprint.routing(plan, families)
        settings = plan.place.hostIndex == nil ? try CaptureFootprint.settings(plan) : []
        listeners = plan.listeners(families)
    }

    private static func settings(_ plan: CapturePlan) throws -> [Setting] {
        let before = try NamespaceCapture.previousSettings()
        return NamespaceSettings.names(for: plan.outboundMode).filter { before.values[$0] != nil }.sorted().map {
            Setting(
                name: "net." + $0.split(separator: "/").joined(separator: "."),
                before: before.values[$0])
        }
    }

    // MARK: Routing

    private static func routing(_ plan: CapturePlan, _ families: [IPAddress.Family]) throws -> [Routing] {
        var route = try RouteSocket()
        let links = try route.links()
        let names = Dictionary(links.map { ($0.index, $0.name) }) { first, _ in first }
        let table = plan.settings.routingTable
        let marks = plan.place.hostIndex == nil ? plan.routedMarks : HostTable.routedMarks(plan.marks)
        var found: [Routing] = []
        for family in families {
            let rules = NamespaceCapture.markRules(
                plan.settings, marks: marks, inside: plan.request.outboundFromInterfaces, family)
            found += rules.map { rule in
                let isThere = rule.interface.map { name in links.contains { $0.name == name } } ?? true
                return Routing(command: "\(family.ip) rule", line: text(of: rule, interfaceIsThere: isThere))
            }
        }
        let loopback = links.first(where: \.isLoopback)?.name ?? "lo"
        found += families.map { family in
            Routing(
                command: "\(family.ip) route show table \(table)",
                line: "local default dev \(loopback) proto \(RouteMessages.origin) "
                    + (family == .v4 ? "scope host" : "metric 1024 pref medium"))
        }
        let there = try route.ownRoutes().compactMap { old in
            old.block.map { (range: $0, interface: old.interface, source: old.source) }
        }
        let added = try NamespaceCapture.uncovered(
            plan.settings.virtualRanges, links, hasIPv6: families.contains(.v6), &route
        ).map { (range: $0.range, interface: $0.interface, source: Optional($0.source)) }
        found += (there + added).map { cover in
            let family = cover.range.base.family
            let words = [
                "\(cover.range)", "dev", names[cover.interface] ?? "\(cover.interface)",
                "proto \(RouteMessages.origin)",
                family == .v4 ? "scope link" : nil, cover.source.map { "src \($0)" },
                family == .v6 ? "metric 1024 pref medium" : nil,
            ]
            return Routing(
                command: "\(family.ip) route", line: words.compactMap { $0 }.joined(separator: " "))
        }
        return found
    }

    private static func text(of rule: RouteSocket.MarkRule, interfaceIsThere: Bool) -> String {
        let mark = "0x\(String(rule.mark.value, radix: 16))/0x\(String(rule.mark.mask, radix: 16))"
        let interface = rule.interface.map { " iif \($0)" + (interfaceIsThere ? "" : " [detached]") } ?? ""
        return
            "\(rule.preference): from all fwmark \(mark)\(interface) lookup \(rule.table) proto \(RouteMessages.origin)"
    }
}

extension IPAddress.Family {
    /// The program of iproute2 that shows this family.
    fileprivate var ip: String { self == .v4 ? "ip" : "ip -6" }
}
