/// Decodes `exportTo`: the namespaces whose workloads see a resource.
enum ExportToDecoding {
    /// Of a Service, which has no field for it: names as in `exportTo`, with commas between them.
    static let annotation = "networking.istio.io/exportTo"

    static func decode(_ field: Field?) -> ExportTo {
        guard let field, let items = field.list() else { return .everywhere }
        return decode(items.compactMap { item in item.string().map { (item, $0) } })
    }

    /// - Parameter metadata: of the document, as a mapping.
    static func decode(annotationOf metadata: Field?) -> ExportTo {
        guard let annotations = metadata?.child("annotations"), let field = annotations.child(annotation),
            let text = field.node.string
        else { return .everywhere }
        let names = text.split(separator: ",").map { String($0).trimmingBlanks() }
        return decode(names.filter { !$0.isEmpty }.map { (field, $0) })
    }

    private static func decode(_ items: [(field: Field, text: String)]) -> ExportTo {
        var names: Set<String> = []
        var everywhere = false
        var nowhere = false
        for (field, text) in items {
            let own = field.context.namespace ?? field.context.options.namespace
            var isNew = true
            switch text {
            case "*":
                isNew = !everywhere
                everywhere = true
            case "~":
                isNew = !nowhere
                nowhere = true
            case ".": isNew = names.insert(own).inserted
            default:
                guard NameSyntax.isLabel(text) else {
                    field.error(
                        .badValue,
                        "found \(quoted(text)); expected \"*\" (every namespace), \".\" (this one), \"~\" (none) or the name of a namespace"
                    )
                    continue
                }
                isNew = names.insert(text).inserted
            }
            if !isNew {
                let also = text == own || text == "." ? "; \".\" stands for \(quoted(own))" : ""
                field.error(.duplicate, "found \(quoted(text)) twice\(also)")
            }
        }
        if let field = items.last?.field, everywhere || nowhere, items.count > 1 {
            if everywhere {
                field.error(
                    .conflict, "found \"*\" beside others; it stands alone, since it names every namespace",
                    hint: "remove \"*\", or all the others")
            } else {
                field.error(
                    .conflict, "found \"~\" beside others; it stands alone, since it means no namespace",
                    hint: "remove \"~\", or all the others")
            }
        }
        return everywhere || items.isEmpty ? .everywhere : .namespaces(names)
    }
}

extension Field {
    /// The field of that name, without any check; nil where it is absent or empty.
    func child(_ name: String) -> Field? {
        guard let value = node[name], !value.isNull else { return nil }
        return Field(node: value, path: .name(path, name), context: context)
    }
}
