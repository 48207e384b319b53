/// Endpoints that nothing finds, and services that find none.
extension SetCheck {
    func endpoints(of resource: Resource, _ spec: ServiceSpec) -> [ConfigError] {
        guard spec.selector.isEmpty, index.slices[resource.key] == nil else { return [] }
        return [
            resource.issue(
                .missing, severity: .warning, field: "spec.selector",
                "no selector, and no EndpointSlice is for it: the Service has no endpoints",
                hint: "name the labels of the workloads behind it")
        ]
    }

    func references(of resource: Resource, _ spec: EndpointSliceSpec) -> [ConfigError] {
        let namespace = resource.key.namespace
        let key = ResourceKey(kind: .service, namespace: namespace, name: spec.service)
        let field = "metadata.labels[\(quoted(EndpointSliceDecoding.serviceLabel))]"
        guard case .service(let service) = set[key]?.spec else {
            let near = nearest(to: spec.service, among: index.names[namespace] ?? [])
            return [
                resource.issue(
                    .dangling, severity: .warning, field: field,
                    "the Service \(quoted(spec.service)) does not exist in the namespace \(quoted(namespace)), so the endpoints are nobody's",
                    hint: near.map { "did you mean \(quoted($0))?" })
            ]
        }
        let names = service.ports.map { $0.name ?? "" }
        return spec.ports.enumerated().compactMap { number, port in
            let name = port.name ?? ""
            if names.contains(name) { return nil }
            let known = names.filter { !$0.isEmpty }
            let hint =
                NearestName.hint(for: name, among: known)
                ?? (known.isEmpty ? "its port has no name" : "its ports are \(known.joined(separator: ", "))")
            return resource.issue(
                .dangling, severity: .warning, field: "ports[\(number)].name",
                "\(key) has no port \(name.isEmpty ? "without a name" : "named \(quoted(name))"), so nothing reaches this one",
                hint: hint)
        }
    }

    /// A WorkloadEntry that no service selects is worth a word only where a label is nearly what one asks for: others may
    /// be kept for later.
    func selection(of resource: Resource, _ spec: WorkloadEntrySpec) -> [ConfigError] {
        let namespace = resource.key.namespace
        guard !spec.labels.isEmpty, !isSelected(spec.labels, namespace) else { return [] }
        for (key, value) in spec.labels.sorted(by: { $0.key < $1.key }) {
            let label = SetIndex.Label(namespace: namespace, key: key, value: nil)
            guard let asked = index.selected[label], !asked.contains(value),
                let near = nearest(to: value, among: asked)
            else { continue }
            return [
                resource.issue(
                    .ignored, severity: .warning, field: "spec.labels", at: spec.location,
                    "no Service or ServiceEntry of the namespace \(quoted(namespace)) selects it (\(key): \(value))",
                    hint: "did you mean \(key): \(near)?")
            ]
        }
        return []
    }

    private func isSelected(_ labels: [String: String], _ namespace: String) -> Bool {
        let everything = SetIndex.first(of: [:], namespace)
        if index.selections[everything] != nil { return true }
        return labels.contains { key, value in
            index.selections[SetIndex.Label(namespace: namespace, key: key, value: value)]?.contains { selection in
                selection.labels.allSatisfy { labels[$0.key] == $0.value }
            } ?? false
        }
    }
}
