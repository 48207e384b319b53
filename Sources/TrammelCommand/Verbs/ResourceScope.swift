import TrammelConfig
import TrammelControlAPI

/// Which of the stored resources `get` is asked for, and how they are listed.
struct ResourceScope: Sendable {
    /// Nil for every kind.
    let kind: String?
    /// Nil for every namespace.
    let namespace: String?
    let name: String?
    let selector: LabelSelector?

    /// As far as the API narrows it down; `holds` does the rest.
    var query: ResourceQuery {
        ResourceQuery(kind: kind, namespace: kind == nil ? nil : namespace, name: name)
    }

    func holds(_ resource: StoredResource) -> Bool {
        (kind == nil || resource.kind == kind) && (namespace == nil || resource.namespace == namespace)
            && (name == nil || resource.name == name) && (selector?.matches(resource.labels) ?? true)
    }

    var nothing: String { "nothing found\(namespace.map { " in namespace \($0)" } ?? "")" }

    func listing(_ resources: [StoredResource]) -> Listing<StoredResource> {
        let isEveryKind = kind == nil
        return Listing(
            items: resources,
            name: { "\(isEveryKind ? "\($0.kind) " : "")\($0.namespace)/\($0.name)" },
            table: Self.table, nothing: nothing)
    }

    static func table(_ resources: [StoredResource], wide: Bool) -> Table {
        var table = Table(
            ["NAMESPACE", "KIND", "NAME", "ORIGIN", .init("SOURCE", .text)]
                + (wide ? ["API-VERSION", .init("LABELS", .text)] : []))
        for resource in resources {
            let cells: [Table.Cell] = [
                .init(resource.namespace), .init(resource.kind), .init(resource.name),
                .init(resource.origin.rawValue), .init(resource.source?.description),
            ]
            let extra: [Table.Cell] = [
                .init(resource.document["apiVersion"]?.stringValue), .init(Readable.labels(resource.labels)),
            ]
            table.add(cells + (wide ? extra : []))
        }
        return table
    }
}

extension StoredResource {
    var kind: String { document["kind"]?.stringValue ?? "" }
    var namespace: String { document["metadata"]?["namespace"]?.stringValue ?? "" }
    var name: String { document["metadata"]?["name"]?.stringValue ?? "" }

    var labels: [String: String] {
        guard case .object(let members) = document["metadata"]?["labels"] else { return [:] }
        return members.compactMapValues(\.stringValue)
    }
}
