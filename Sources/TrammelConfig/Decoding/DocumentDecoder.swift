/// Decodes one document: what it is, who it is, and its spec.
struct DocumentDecoder {
    enum Outcome {
        case resource(Resource)
        /// The items of a `List`.
        case list([ConfigNode])
        /// Skipped with a warning, or wrong and reported.
        case nothing
    }

    let context: DecodingContext

    func decode(_ root: ConfigNode) -> Outcome {
        let field = Field(node: root, path: .root, context: context)
        guard case .mapping(let entries) = root.value else {
            field.wrongType("a mapping with apiVersion, kind, metadata and spec")
            return .nothing
        }
        let object = ObjectField(field: field, entries: entries)
        // For the messages, before anything is checked.
        context.kind = object["kind"]?.node.string
        context.name = object["metadata"]?.node["name"]?.string
        if context.name != nil {
            context.namespace = object["metadata"]?.node["namespace"]?.string ?? context.options.namespace
        }
        guard let kindField = object.required("kind", "a kind such as VirtualService"), let kind = kindField.string(),
            let versionField = object.required("apiVersion", "an API version such as networking.istio.io/v1"),
            let version = versionField.string()
        else { return .nothing }
        if kind == "List" || kind.hasSuffix("List") && object["items"] != nil {
            return decodeList(object)
        }
        switch KnownKinds.verdict(apiVersion: version, kind: kind) {
        case .stored(let kind):
            return decode(object, kind: kind, version: version)
        case .later(let skippable):
            refuse("\(kind) is not implemented yet", at: kindField, skippable: skippable)
        case .withdrawn(let instead, let skippable):
            refuse("\(kind) of \(version) was withdrawn by Istio; \(instead)", at: kindField, skippable: skippable)
        case .skipped(let reason):
            kindField.warning(.ignored, "skipped: \(reason)")
        case .wrong(let message, let hint):
            (message.contains("apiVersion") ? versionField : kindField).error(.unknownKind, message, hint: hint)
        }
        return .nothing
    }

    private func refuse(_ message: String, at field: Field, skippable: Bool) {
        if context.options.skipUnimplemented, skippable {
            field.warning(.unimplemented, "skipped: \(message)")
        } else {
            let hint =
                skippable
                ? "leave it out with --skip-unimplemented"
                : "remove it; a security policy is never skipped, since what it forbids would be allowed"
            field.error(.unimplemented, message, hint: hint)
        }
    }

    private func decodeList(_ object: ObjectField) -> Outcome {
        guard let items = object.required("items", "a list of resources")?.list() else { return .nothing }
        return .list(items.map(\.node).filter { !$0.isNull })
    }

    private func decode(_ object: ObjectField, kind: ResourceKind, version: String) -> Outcome {
        let before = context.errors.count
        let fields = kind == .endpointSlice ? EndpointSliceDecoding.fields : Self.fields
        let object = object.field.object(fields) ?? object
        let metadata = object.required("metadata", "metadata with a name").flatMap {
            MetadataDecoding.decode($0, kind: kind, options: context.options)
        }
        let spec = decodeSpec(object, kind: kind)
        let found = context.errors[before...]
        if !found.isEmpty, context.options.skipUnimplemented, found.allSatisfy({ $0.code == .unimplemented }) {
            context.forgiveErrors(from: before)
            return .nothing
        }
        guard let metadata, let spec, found.isEmpty else { return .nothing }
        let key = ResourceKey(kind: kind, namespace: metadata.namespace, name: metadata.name)
        return .resource(
            Resource(
                key: key, apiVersion: version, labels: metadata.labels, annotations: metadata.annotations,
                location: object.field.location, spec: spec, document: object.field.node.withoutServerFields()))
    }

    private static let fields = FieldSet(["apiVersion", "kind", "metadata", "spec", "status"])

    private func decodeSpec(_ object: ObjectField, kind: ResourceKind) -> Resource.Spec? {
        if kind == .endpointSlice { return EndpointSliceDecoding.decode(object).map(Resource.Spec.endpointSlice) }
        guard let spec = object.required("spec", "the \(kind.rawValue)'s spec") else { return nil }
        return switch kind {
        case .service: ServiceDecoding.decode(spec, metadata: object["metadata"]).map(Resource.Spec.service)
        case .virtualService: VirtualServiceDecoding.decode(spec).map(Resource.Spec.virtualService)
        case .destinationRule: DestinationRuleDecoding.decode(spec).map(Resource.Spec.destinationRule)
        case .serviceEntry: ServiceEntryDecoding.decode(spec).map(Resource.Spec.serviceEntry)
        case .workloadEntry: WorkloadEntryDecoding.decode(spec).map(Resource.Spec.workloadEntry)
        case .workload: WorkloadDecoding.decode(spec).map(Resource.Spec.workload)
        case .meshConfig: MeshConfigDecoding.decode(spec).map(Resource.Spec.meshConfig)
        case .endpointSlice: nil
        }
    }
}

extension ConfigNode {
    /// What a person wrote: without `status`, without the metadata that a server adds, and without the stamp of the
    /// source, which the store keeps on its own.
    func withoutServerFields() -> ConfigNode {
        guard case .mapping(let entries) = value else { return self }
        let kept = entries.compactMap { entry -> Entry? in
            if entry.key == "status" || entry.value.isNull { return nil }
            guard entry.key == "metadata", case .mapping(let metadata) = entry.value.value else { return entry }
            let own = metadata.compactMap { item -> Entry? in
                if MetadataDecoding.serverFields.contains(item.key) || item.value.isNull { return nil }
                guard item.key == "annotations", case .mapping(let annotations) = item.value.value else { return item }
                let rest = annotations.filter { !Self.isBookkeeping($0.key) }
                if rest.isEmpty { return nil }
                return Entry(
                    key: item.key, keyPosition: item.keyPosition,
                    value: ConfigNode(.mapping(rest), at: item.value.position))
            }
            return Entry(
                key: entry.key, keyPosition: entry.keyPosition,
                value: ConfigNode(.mapping(own), at: entry.value.position))
        }
        return ConfigNode(.mapping(kept), at: position)
    }

    private static func isBookkeeping(_ annotation: String) -> Bool {
        annotation == SourceStamp.annotation || annotation == "kubectl.kubernetes.io/last-applied-configuration"
    }

    /// The same tree as if it stood `lines` further down.
    func shifted(by lines: Int) -> ConfigNode {
        func shift(_ position: Position) -> Position {
            Position(line: Int(position.line) + lines, column: Int(position.column))
        }
        let moved: Value =
            switch value {
            case .scalar: value
            case .sequence(let items): .sequence(items.map { $0.shifted(by: lines) })
            case .mapping(let entries):
                .mapping(
                    entries.map {
                        Entry(key: $0.key, keyPosition: shift($0.keyPosition), value: $0.value.shifted(by: lines))
                    })
            }
        return ConfigNode(moved, at: shift(position))
    }
}
