import TrammelControlAPI
import Yams

/// Which resource a document is about: enough to delete it, whether or not the rest of it is valid.
struct DocumentIdentity: Hashable {
    let kind: String
    let namespace: String
    let name: String

    /// The resources that a file names. Kinds that mean nothing here are left out, as an apply skips them.
    static func all(in document: ApplyRequest.Document, defaultNamespace: String) throws -> [DocumentIdentity] {
        let nodes: [Node]
        do {
            nodes = try Array(compose_all(yaml: document.text))
        } catch {
            throw CommandFailure("\(document.path) is not YAML: \(error)", hint: "`trammel validate` says where")
        }
        return try nodes.compactMap { node in
            guard let kind = node["kind"]?.string.flatMap(KindNames.kind(named:)) else { return nil }
            guard let name = node["metadata"]?["name"]?.string else {
                throw CommandFailure(
                    "\(document.path): a \(kind) has no metadata.name", hint: "name it, or delete it by kind and name")
            }
            return DocumentIdentity(
                kind: kind, namespace: node["metadata"]?["namespace"]?.string ?? defaultNamespace, name: name)
        }
    }
}
