/// `POST /v1/apply`: all of the documents or none of them.
///
/// As JSON this message; as `application/yaml` the bare text of one file, with the settings in the query.
package struct ApplyRequest: Codable, Hashable, Sendable {
    package var documents: [Document]
    /// The namespace of documents that name none.
    package var namespace: String
    /// Say what would happen and change nothing.
    package var dryRun: Bool
    /// Delete the resources that came through the API, match `selector` and are not among `documents`.
    package var prune: Bool
    /// Limits `prune` to resources with these labels: `key=value,…`. Nil for all.
    package var selector: String?
    /// A dangling reference is an error rather than a warning.
    package var strict: Bool
    /// An unknown field is a warning rather than an error.
    package var warnUnknown: Bool
    /// Skip, with a warning, documents of a kind that is not built yet; never one of `security.istio.io`.
    package var skipUnimplemented: Bool

    /// The most bytes that an apply's body may have: 32 MiB.
    package static let longestBody = 32 << 20

    /// One file as it was read, which may hold many YAML or JSON documents.
    package struct Document: Codable, Hashable, Sendable {
        /// The file's absolute path, `-` for standard input, `api` for a bare body: what errors and `explain` name.
        package var path: String
        package var text: String

        package init(path: String, text: String) {
            self.path = path
            self.text = text
        }
    }

    package init(
        documents: [Document], namespace: String = "default", dryRun: Bool = false, prune: Bool = false,
        selector: String? = nil,
        strict: Bool = false, warnUnknown: Bool = false, skipUnimplemented: Bool = false
    ) {
        self.documents = documents
        self.namespace = namespace
        self.dryRun = dryRun
        self.prune = prune
        self.selector = selector
        self.strict = strict
        self.warnUnknown = warnUnknown
        self.skipUnimplemented = skipUnimplemented
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        func flag(_ key: CodingKeys) throws -> Bool { try container.decodeIfPresent(Bool.self, forKey: key) ?? false }
        documents = try container.decode([Document].self, forKey: .documents)
        namespace = try container.decodeIfPresent(String.self, forKey: .namespace) ?? "default"
        dryRun = try flag(.dryRun)
        prune = try flag(.prune)
        selector = try container.decodeIfPresent(String.self, forKey: .selector)
        strict = try flag(.strict)
        warnUnknown = try flag(.warnUnknown)
        skipUnimplemented = try flag(.skipUnimplemented)
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case documents, namespace, dryRun, prune, selector, strict, warnUnknown, skipUnimplemented
    }
}

extension ApplyRequest: StrictMessage {
    package static var memberNames: [String] { CodingKeys.allCases.map(\.rawValue) }
}

/// What became of an apply, or would have become of it.
package struct ApplyResult: Codable, Hashable, Sendable {
    /// In the order of the documents, then what was pruned.
    package var results: [ResourceResult]
    /// What does not belong to one resource: documents that were skipped, for example.
    package var warnings: [String]
    package var dryRun: Bool

    package init(results: [ResourceResult], warnings: [String] = [], dryRun: Bool = false) {
        self.results = results
        self.warnings = warnings
        self.dryRun = dryRun
    }
}

/// What became of one resource.
package struct ResourceResult: Codable, Hashable, Sendable {
    package enum Outcome: String, Codable, Hashable, Sendable {
        case created, configured, unchanged, pruned, deleted
    }

    package var kind: String
    package var namespace: String
    package var name: String
    package var outcome: Outcome
    /// Each names the file and line.
    package var warnings: [String]
    /// What the resource's version is now; told of one that was written alone.
    package var resourceVersion: String?

    package init(
        kind: String, namespace: String, name: String, outcome: Outcome, warnings: [String] = [],
        resourceVersion: String? = nil
    ) {
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.outcome = outcome
        self.warnings = warnings
        self.resourceVersion = resourceVersion
    }
}
