/// `metadata` as far as it means something here.
struct ResourceMetadata {
    let name: String
    let namespace: String
    let labels: [String: String]
    let annotations: [String: String]
}

/// Decodes Kubernetes' `metadata`. What a server adds (uid, resourceVersion, managedFields …) is accepted, since people
/// apply what they have read back, and forgotten.
enum MetadataDecoding {
    static let serverFields = [
        "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "finalizers", "generation",
        "managedFields", "ownerReferences", "resourceVersion", "selfLink", "uid",
    ]

    private static let fields = FieldSet(
        ["name", "namespace", "labels", "annotations"] + serverFields,
        withdrawn: ["generateName": "write a name; names are not made up here"])

    static func decode(_ metadata: Field, kind: ResourceKind, options: DecodingOptions) -> ResourceMetadata? {
        guard let object = metadata.object(fields) else { return nil }
        var namespace = options.namespace
        if let field = object["namespace"], let text = field.string() {
            if NameSyntax.isLabel(text) {
                namespace = text
            } else {
                field.error(
                    .badValue, "found \(field.found); expected lower-case letters, digits and '-', 63 at most")
            }
        }
        let labels = object["labels"].map { decodeLabels($0) } ?? [:]
        let annotations = object["annotations"]?.stringMap() ?? [:]
        guard let field = object.required("name", "the name of the \(kind.rawValue)"), let name = field.string() else {
            return nil
        }
        let isValid = kind == .service ? NameSyntax.isLabel(name) : NameSyntax.isSubdomain(name)
        guard isValid else {
            let form =
                kind == .service
                ? "lower-case letters, digits and '-', 63 at most"
                : "lower-case letters, digits, '-' and '.', 253 at most"
            field.error(.badValue, "found \(field.found); expected \(form)")
            return nil
        }
        return ResourceMetadata(name: name, namespace: namespace, labels: labels, annotations: annotations)
    }

    /// Labels and selectors, held to the rules of Kubernetes.
    static func decodeLabels(_ field: Field) -> [String: String] {
        guard let entries = field.map() else { return [:] }
        var labels: [String: String] = [:]
        for entry in entries {
            if !NameSyntax.isLabelKey(entry.key) {
                field.context.error(
                    .badValue, at: entry.keyPosition, field: entry.value.path.text,
                    "found the label key \(quoted(entry.key)); expected letters, digits, '-', '_' and '.', 63 at most")
            }
            guard let value = entry.value.string() else { continue }
            if !NameSyntax.isLabelValue(value) {
                entry.value.error(
                    .badValue, "found \(entry.value.found); expected letters, digits, '-', '_' and '.', 63 at most")
            }
            labels[entry.key] = value
        }
        return labels
    }
}
