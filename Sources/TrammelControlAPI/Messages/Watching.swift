/// One line of a watch of resources, as Kubernetes' API has it.
package struct WatchEvent: Codable, Hashable, Sendable {
    package enum Kind: String, Codable, Hashable, Sendable {
        case added = "ADDED"
        case modified = "MODIFIED"
        case deleted = "DELETED"
        /// Nothing happened; `resourceVersion` says up to where. Also what ends the list that a watch begins with.
        case bookmark = "BOOKMARK"
        /// The watch cannot go on from where it was asked to: list again. The stream ends after it.
        case error = "ERROR"
    }

    package var type: Kind
    /// The resource as it is now; for `deleted` as it was last; nil for a bookmark.
    package var object: StoredResource?
    /// Resume with `resourceVersion=` this.
    package var resourceVersion: String
    package var problem: Problem?

    package init(type: Kind, object: StoredResource? = nil, resourceVersion: String, problem: Problem? = nil) {
        self.type = type
        self.object = object
        self.resourceVersion = resourceVersion
        self.problem = problem
    }
}

/// `GET` and `PUT /v1/log-level`.
package struct LogLevel: Codable, Hashable, Sendable {
    /// `trace`, `debug`, `info`, `notice`, `warning`, `error` or `critical`.
    package var level: String

    package init(level: String) { self.level = level }
}
