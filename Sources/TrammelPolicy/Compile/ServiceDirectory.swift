import TrammelConfig

/// The services by the hosts that routes may name, as the callers of one view see them.
struct ServiceDirectory {
    /// Those that everybody sees, by `HostName.key`.
    let common: (String) -> CompiledService?
    /// All of the services, for proposals.
    let everyone: () -> Dictionary<ResourceKey, CompiledService>.Values
    /// What the callers see instead or besides.
    var own: [String: CompiledService] = [:]
    let hints: HintBudget

    subscript(hostKey: String) -> CompiledService? { own[hostKey] ?? common(hostKey) }

    /// ` (did you mean "reviews"?)`, or what else may be the matter, or nothing.
    func hint(for host: String, from namespace: String) -> String {
        guard hints.take() else { return "" }
        let services = everyone()
        let key = HostName.key(of: host, namespace: namespace)
        if services.contains(where: { $0.hostKey == key }) {
            return " (there is one, which is exported to other namespaces only)"
        }
        if !host.contains(".") {
            return NearestName.hint(
                for: host, among: services.lazy.filter { $0.identity.namespace == namespace }.map(\.identity.name))
        }
        if host.hasSuffix(HostName.meshSuffix) {
            return NearestName.hint(for: host, among: services.lazy.map(\.identity.host))
        }
        return NearestName.hint(for: host, among: services.lazy.map(\.hostKey))
    }
}
