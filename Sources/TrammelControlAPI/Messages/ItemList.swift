/// The body of every listing, `{"items": [...]}`: an object, so that it can grow members later. The order is stable.
package struct ItemList<Item: Codable & Hashable & Sendable>: Codable, Hashable, Sendable {
    package var items: [Item]
    /// The version of what was listed, to watch from; nil for what cannot be watched.
    package var resourceVersion: String?

    package init(_ items: [Item], resourceVersion: String? = nil) {
        self.items = items
        self.resourceVersion = resourceVersion
    }
}

/// Where something was written, as `explain` and errors show it.
package struct SourceReference: Codable, Hashable, Sendable, CustomStringConvertible {
    package var file: String
    /// From 1.
    package var line: Int

    package init(file: String, line: Int) {
        self.file = file
        self.line = line
    }

    /// `canary.yaml:12`.
    package var description: String { "\(file):\(line)" }
}
