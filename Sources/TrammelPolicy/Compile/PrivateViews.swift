import TrammelConfig
import TrammelCore

/// What the workloads of single namespaces see besides what everybody does, or instead of it: services and routes that
/// are exported to them only, and services as their own namespace's DestinationRules treat them.
struct PrivateViews {
    private var namespaces: [String] = []

    mutating func make(_ plan: SnapshotPlan) -> [String: SnapshotView] {
        if plan.servicesAreNew || plan.visibilityIsNew { namespaces = PrivateViews.namespaces(plan) }
        var views: [String: SnapshotView] = [:]
        for namespace in namespaces { views[namespace] = view(of: namespace, plan) }
        return views
    }

    /// Those that may see something of their own.
    private static func namespaces(_ plan: SnapshotPlan) -> [String] {
        var found: Set<String> = []
        func add(_ exportTo: ExportTo) {
            if case .namespaces(let names) = exportTo { found.formUnion(names) }
        }
        for service in plan.services.restricted { add(service.shape.exportTo) }
        found.formUnion(plan.services.overshadowed.map(\.identity.namespace))
        for entry in plan.routes.entries.values { add(entry.spec.exportTo) }
        for rule in plan.rules.byHost.values.joined() {
            add(rule.spec.exportTo)
            let own = rule.reference.key.namespace
            let isOfOthers = plan.services.owners(ofHost: rule.hostKey).contains { $0.namespace != own }
            if rule.spec.exportTo == .everywhere, isOfOthers || rule.hostKey.hasPrefix("*") { found.insert(own) }
        }
        return found.sorted()
    }

    private func view(of namespace: String, _ plan: SnapshotPlan) -> SnapshotView? {
        var directory = plan.services.directory(HintBudget(left: 20))
        directory.own = services(of: namespace, plan)
        let own = plan.routes.entries.values.filter { entry in
            entry.spec.exportTo != .everywhere && entry.spec.exportTo.includes(namespace)
        }
        // What leads to a service that is another here leads to that one.
        let affected = plan.routes.affected(by: Set(directory.own.keys), or: [])
            .filter { plan.routes.entries[$0]?.spec.exportTo == .everywhere }
        var tables: [ResourceKey: RouteTable] = [:]
        for key in affected.union(own.map(\.reference.key)) {
            guard let item = plan.inventory[key], case .virtualService(let spec) = item.spec else { continue }
            tables[key] = RouteBook.compile(item, spec, plan.inventory, directory).table
        }
        guard !directory.own.isEmpty || !tables.isEmpty else { return nil }
        var ignored: [CompileWarning] = []
        let claims = RouteClaims(own, warnings: &ignored)
        func routes(of service: CompiledService) -> RouteTable? {
            guard let key = claims.owner(of: service) ?? plan.claims.owner(of: service) else { return nil }
            return tables[key] ?? plan.routes.entries[key]?.table
        }

        var parts = ViewParts()
        var keys: [String] = []
        var shown: [String: CompiledService] = directory.own
        for (key, routes) in claims.exact.merging(plan.claims.exact, uniquingKeysWith: { first, _ in first })
        where tables[routes] != nil && shown[key] == nil {
            shown[key] = plan.services.common(key)
        }
        let wildcards = claims.wildcards.merging(plan.claims.wildcards) { first, _ in first }
            .filter { tables[$0.value] != nil }
        if !wildcards.isEmpty {
            for owner in plan.services.order {
                guard let service = plan.services.compiled[owner], service.shape.exportTo == .everywhere,
                    shown[service.hostKey] == nil,
                    HostName.suffixes(of: service.identity.host).contains(where: { wildcards[$0] != nil })
                else { continue }
                shown[service.hostKey] = service
            }
        }
        for (key, service) in shown.sorted(by: { $0.key < $1.key }) {
            if service.wildcardSuffix == nil { keys.append(key) }
            parts.enter(service, service.makePorts(routedBy: routes(of: service)))
        }
        for (key, routes) in claims.exact.merging(plan.claims.exact, uniquingKeysWith: { first, _ in first })
            .sorted(by: { $0.key < $1.key })
        {
            guard let table = tables[routes], directory[key] == nil else { continue }
            keys.append(key)
            parts.enter(virtualHost: table)
        }
        for (suffix, routes) in wildcards.sorted(by: { $0.key < $1.key }) {
            if let table = tables[routes] { parts.enter(wildcard: suffix, table) }
        }
        return parts.view(
            exact: HostTable(keys.enumerated().map { ($1, UInt32(truncatingIfNeeded: $0)) }),
            addresses: AddressTable(parts.addresses(&ignored)), ownAddresses: AddressTable(parts.ownAddresses()),
            blocks: BlockTable(parts.blocks()))
    }

    /// The services that are exported to a namespace only, and those that its DestinationRules treat in another way.
    private func services(of namespace: String, _ plan: SnapshotPlan) -> [String: CompiledService] {
        var found: [String: CompiledService] = [:]
        for service in plan.services.restricted
        where service.shape.exportTo.includes(namespace) && found[service.hostKey] == nil {
            found[service.hostKey] = asSeen(service, from: namespace, plan) ?? service
        }
        // Its own before everybody's.
        for service in plan.services.overshadowed where service.identity.namespace == namespace {
            if found[service.hostKey] == nil {
                found[service.hostKey] = asSeen(service, from: namespace, plan) ?? service
            }
        }
        for (hostKey, rules) in plan.rules.byHost {
            let isOurs = rules.contains { rule in
                rule.spec.exportTo.includes(namespace)
                    && (rule.spec.exportTo != .everywhere || rule.reference.key.namespace == namespace)
            }
            guard isOurs else { continue }
            let meant =
                HostName.wildcardSuffix(hostKey).map { suffix in
                    plan.services.order.lazy.compactMap { plan.services.compiled[$0] }.filter {
                        $0.shape.exportTo == .everywhere && HostName.suffixes(of: $0.identity.host).contains(suffix)
                    }
                } ?? plan.services.common(hostKey).map { [$0] } ?? []
            for service in meant where found[service.hostKey] == nil {
                if let other = asSeen(service, from: namespace, plan) { found[service.hostKey] = other }
            }
        }
        return found
    }

    /// Nil where the namespace sees the service as everybody does.
    private func asSeen(
        _ service: CompiledService, from namespace: String, _ plan: SnapshotPlan
    ) -> CompiledService? {
        var ignored: [CompileWarning] = []
        let rule = plan.rules.effective(for: service.shape, from: namespace, warnings: &ignored)
        guard !rule.isFrom(sameAs: service.rule) else { return nil }
        return ServiceCompiler(shape: service.shape, addresses: service.addresses, rule: rule, view: "\(namespace)/")
            .compile(
                ports: service.ports.map(\.spec), candidates: service.candidates,
                datagramPorts: service.datagramPorts.map(\.spec), datagramCandidates: service.datagramCandidates,
                warnings: [],
                slots: plan.services.clusterSlots)
    }
}
