package import TrammelConfig
import TrammelCore

/// Turns resources and workloads into a `RuntimeSnapshot`.
///
/// One per agent, used by one task at a time: it remembers what it made of every resource, and the slots of clusters and
/// endpoints, which have to outlive the snapshots, so that of a large mesh only what a change touches is made anew.
/// Nothing that has passed validation makes it fail; what cannot work is left out or answers for itself (503, flag NC),
/// and a warning says so.
package final class SnapshotCompiler {
    private var inventory = Inventory()
    private var sources = EndpointSources()
    private var rules = DestinationRules()
    private var services = ServiceBook()
    private var routes = RouteBook()
    private var claims = RouteClaims()
    private var claimWarnings: [CompileWarning] = []
    private var ruleWarnings: [CompileWarning] = []
    private var assembly = SnapshotAssembly()

    package init() {}

    /// Makes a snapshot of these resources and no others.
    /// - Parameters:
    ///   - resources: valid ones, each key once, the oldest first: of two that contradict the first holds.
    ///   - workloads: the attached ones, in any order.
    ///   - resolved: what the DNS says of the names of endpoints.
    ///   - vips: the virtual addresses of a service that names none itself, by its owner (`ServiceShape.owner`).
    package func compile(
        resources: [Resource], workloads: [WorkloadFacts], resolved: [String: ResolvedAddresses] = [:],
        version: UInt64, vips: (ResourceKey) -> VIPs = { _ in [] }
    ) -> (snapshot: RuntimeSnapshot, warnings: [CompileWarning]) {
        update(
            inventory.changes(to: resources), workloads: workloads, resolved: resolved, version: version, vips: vips)
    }

    /// Makes the snapshot that follows on the last one. A virtual address may only change together with its service.
    package func update(
        _ changes: ResourceChanges, workloads facts: [WorkloadFacts], resolved: [String: ResolvedAddresses],
        version: UInt64, vips: (ResourceKey) -> VIPs
    ) -> (snapshot: RuntimeSnapshot, warnings: [CompileWarning]) {
        var touched = Touched()
        for key in changes.removed { remove(key, &touched) }
        for resource in changes.written { put(resource, &touched) }
        touch(sources.workloads.update(facts), &touched)
        touch(resolved, &touched)

        compileServices(&touched, vips)
        compileRoutes(&touched)
        let plan = SnapshotPlan(
            inventory: inventory, rules: rules, services: services, routes: routes, claims: claims,
            claimsAreNew: touched.claims, servicesAreNew: touched.layout, headlessAreNew: touched.headless,
            visibilityIsNew: touched.rules || touched.visibility)
        let snapshot = assembly.snapshot(plan, version: version)
        var warnings = services.warnings + routes.entries.values.flatMap(\.warnings) + claimWarnings + ruleWarnings
        warnings += assembly.warnings
        warnings.sort {
            ($0.location.file, $0.location.line, $0.message) < ($1.location.file, $1.location.line, $1.message)
        }
        return (snapshot, warnings)
    }

    /// What an update has to do again.
    private struct Touched {
        /// Owners of services.
        var services: Set<ResourceKey> = []
        /// VirtualServices.
        var routes: Set<ResourceKey> = []
        var removedRoutes: Set<ResourceKey> = []
        /// By `HostName.key`: services that are no longer what they were.
        var hosts: Set<String> = []
        var claims = false
        var rules = false
        /// A VirtualService came, went or changed.
        var visibility = false
        /// A service came, went or has other ports or addresses.
        var layout = false
        /// The endpoints of a headless service have changed.
        var headless = false
    }

    // MARK: What changes touch

    private func put(_ resource: Resource, _ touched: inout Touched) {
        if inventory[resource.key] != nil { release(resource.key, &touched) }
        let key = resource.key
        inventory.put(resource)
        guard let item = inventory[key] else { return }
        switch resource.spec {
        case .service(let spec):
            enter(ServiceShape(item.reference, spec), age: item.age, &touched)
        case .serviceEntry(let spec):
            for host in spec.hosts { enter(ServiceShape(item.reference, spec, host: host), age: item.age, &touched) }
        case .destinationRule(let spec):
            let rule = DestinationRules.Rule(item.reference, spec, age: item.age)
            rules.insert(rule)
            touch(ruleFor: rule.hostKey, &touched)
        case .virtualService:
            touched.routes.insert(key)
        case .workloadEntry(let spec):
            let entry = KnownEntry(key, spec)
            sources.put(entry, key)
            touched.services.formUnion(services.selecting(entry))
        case .endpointSlice(let spec):
            let owner = ResourceKey(kind: .service, namespace: key.namespace, name: spec.service)
            sources.putSlice(key.name, spec, of: owner)
            touched.services.insert(owner)
        case .meshConfig, .workload:
            break
        }
    }

    private func remove(_ key: ResourceKey, _ touched: inout Touched) {
        release(key, &touched)
        inventory.remove(key)
    }

    /// Takes back what followed from a resource as it was.
    private func release(_ key: ResourceKey, _ touched: inout Touched) {
        guard let item = inventory[key] else { return }
        switch item.spec {
        case .service(let spec):
            leave(ServiceShape(item.reference, spec), &touched)
        case .serviceEntry(let spec):
            for host in spec.hosts { leave(ServiceShape(item.reference, spec, host: host), &touched) }
        case .destinationRule(let spec):
            let rule = DestinationRules.Rule(item.reference, spec, age: item.age)
            rules.remove(key, hostKey: rule.hostKey)
            touch(ruleFor: rule.hostKey, &touched)
        case .virtualService:
            touched.removedRoutes.insert(key)
        case .workloadEntry:
            if let entry = sources.removeEntry(key) { touched.services.formUnion(services.selecting(entry)) }
        case .endpointSlice(let spec):
            let owner = ResourceKey(kind: .service, namespace: key.namespace, name: spec.service)
            sources.removeSlice(key.name, of: owner)
            touched.services.insert(owner)
        case .meshConfig, .workload:
            break
        }
    }

    private func enter(_ shape: ServiceShape, age: UInt64, _ touched: inout Touched) {
        services.enter(shape, age: age)
        touched.services.insert(shape.owner)
    }

    private func leave(_ shape: ServiceShape, _ touched: inout Touched) {
        services.leave(shape)
        touched.services.insert(shape.owner)
    }

    private func touch(ruleFor hostKey: String, _ touched: inout Touched) {
        touched.rules = true
        if let suffix = HostName.wildcardSuffix(hostKey) {
            touched.services.formUnion(
                services.shapes.lazy.filter { HostName.suffixes(of: $0.value.identity.host).contains(suffix) }.map(
                    \.key))
        }
        touched.services.formUnion(services.owners(ofHost: hostKey))
    }

    private func touch(_ changes: WorkloadMemory.Changes, _ touched: inout Touched) {
        for workload in changes.touched { touched.services.formUnion(services.selecting(workload)) }
        touched.services.formUnion(services.bearing(changes.addresses))
    }

    private func touch(_ resolved: [String: ResolvedAddresses], _ touched: inout Touched) {
        for name in services.namesToResolve where sources.resolved[name] != resolved[name] {
            touched.services.formUnion(services.owners(hangingOn: name))
        }
        for entry in sources.entries(movedBy: resolved) { touched.services.formUnion(services.selecting(entry)) }
        sources.resolved = resolved
    }

    // MARK: Compiling

    private func compileServices(_ touched: inout Touched, _ vips: (ResourceKey) -> VIPs) {
        for owner in touched.services.sorted() {
            let former = services.compiled[owner]
            guard let shape = services.shapes[owner] else {
                guard let former else { continue }
                sources.forget(former.candidates)
                sources.forget(former.datagramCandidates)
                services.drop(owner)
                touched.hosts.insert(former.hostKey)
                touched.layout = true
                touched.headless = true
                continue
            }
            let addresses = shape.addresses(allocated: vips(owner))
            let ports = shape.ports.filter { $0.transport == .tcp }
            let candidates = sources.candidates(of: shape, ports: ports, former: former?.candidates ?? [])
            let datagramPorts = shape.ports.filter { $0.transport == .udp }
            let datagramCandidates = sources.candidates(
                of: shape, ports: datagramPorts, former: former?.datagramCandidates ?? [])
            var warnings: [CompileWarning] = []
            let rule = rules.effective(for: shape, warnings: &warnings)
            let service = ServiceCompiler(shape: shape, addresses: addresses, rule: rule)
                .compile(
                    ports: ports, candidates: candidates, datagramPorts: datagramPorts,
                    datagramCandidates: datagramCandidates, warnings: warnings, slots: services.clusterSlots)
            services.keep(service)
            touched.hosts.insert(service.hostKey)
            if let former { touched.hosts.insert(former.hostKey) }
            if shape.address == .headless { touched.headless = true }
            if former.map({ !$0.hasLayout(of: service) }) ?? true { touched.layout = true }
        }
    }

    private func compileRoutes(_ touched: inout Touched) {
        touched.removedRoutes.subtract(touched.routes)
        let moved = touched.routes.union(touched.removedRoutes)
        touched.visibility = !moved.isEmpty
        touched.routes.formUnion(routes.affected(by: touched.hosts, or: moved))
        touched.routes.subtract(touched.removedRoutes)
        for key in touched.removedRoutes { routes.remove(key) }
        let directory = services.directory(HintBudget(left: 20))
        for key in touched.routes.sorted() {
            guard let item = inventory[key], case .virtualService(let spec) = item.spec else { continue }
            routes.put(item, spec, inventory, directory)
        }
        if !moved.isEmpty {
            claimWarnings = []
            let common = routes.entries.values.filter { $0.spec.exportTo == .everywhere }
            let claims = RouteClaims(Array(common), warnings: &claimWarnings)
            touched.claims = !claims.isSame(as: self.claims)
            self.claims = claims
        }
        if touched.rules || touched.layout {
            ruleWarnings = rules.byHost.lazy.filter { key, _ in
                !key.hasPrefix("*") && self.services.owners(ofHost: key).isEmpty
            }
            .flatMap { _, rules in rules.map { RouteCompiler.noSuchHost($0.spec.host, $0.reference, directory) } }
        }
    }
}
