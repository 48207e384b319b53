import TrammelConfig

/// The route tables of the last compile, kept while neither their VirtualService nor a service that they lead to has
/// changed. One that leads nowhere is made each time, since what its warning proposes may have changed.
struct RouteMemory {
    private struct Entry {
        let reference: ResourceReference
        let spec: VirtualServiceSpec
        /// What each destination host stood for, by `HostName.key`.
        let services: [(host: String, service: CompiledService?)]
        let table: RouteTable
        let warnings: [CompileWarning]
    }

    private var former: [ResourceKey: Entry] = [:]
    private var current: [ResourceKey: Entry] = [:]

    /// The table of a VirtualService, the former one where it still holds.
    mutating func table(
        _ reference: ResourceReference, _ spec: VirtualServiceSpec, _ services: [String: CompiledService],
        _ warnings: inout [CompileWarning]
    ) -> RouteTable {
        if let entry = former[reference.key], entry.reference == reference, entry.spec == spec,
            entry.services.allSatisfy({ $0.service != nil && services[$0.host] === $0.service })
        {
            current[reference.key] = entry
            warnings += entry.warnings
            return entry.table
        }
        var found: [CompileWarning] = []
        let table = RouteCompiler(services: services).compile(reference, spec, warnings: &found)
        let hosts = Set(table.routes.flatMap { $0.split?.destinations ?? [] }.map(\.written.host))
        let keys = hosts.map { HostName.key(of: $0, namespace: reference.key.namespace) }
        current[reference.key] = Entry(
            reference: reference, spec: spec, services: keys.map { ($0, services[$0]) }, table: table, warnings: found)
        warnings += found
        return table
    }

    /// Forgets the tables that were not asked for since the last time.
    mutating func turn() {
        former = current
        current = [:]
    }
}
