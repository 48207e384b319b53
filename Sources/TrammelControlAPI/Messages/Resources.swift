/// Which of the stored resources are asked for: all, those of a kind, of a namespace within a kind, or one.
package struct ResourceQuery: Hashable, Sendable {
    /// The kind's own name, `VirtualService`; nil for every kind.
    package var kind: String?
    package var namespace: String?
    package var name: String?

    package init(kind: String? = nil, namespace: String? = nil, name: String? = nil) {
        self.kind = kind
        self.namespace = namespace
        self.name = name
    }
}

/// A resource as the store keeps it.
package struct StoredResource: Codable, Hashable, Sendable {
    /// Who may change it: the watched directory, or the API.
    package enum Origin: String, Codable, Hashable, Sendable {
        case directory, api
    }

    package var origin: Origin
    /// Where it was written.
    package var source: SourceReference?
    /// The document, with `apiVersion`, `kind`, `metadata` and `spec`.
    package var document: JSONValue

    package init(origin: Origin, source: SourceReference? = nil, document: JSONValue) {
        self.origin = origin
        self.source = source
        self.document = document
    }
}

/// The names under which people ask for a kind: `VirtualService`, `virtualservices`, `vs`.
package enum KindNames {
    private static let aliases: [(kind: String, others: [String])] = [
        ("AuthorizationPolicy", ["ap"]),
        ("DestinationRule", ["dr"]),
        ("EndpointSlice", ["eps"]),
        ("Gateway", ["gw"]),
        ("MeshConfig", ["mc"]),
        ("PeerAuthentication", ["pa"]),
        ("RateLimitPolicy", ["rlp"]),
        ("RequestAuthentication", ["ra"]),
        ("Service", ["svc"]),
        ("ServiceEntry", ["se"]),
        ("Telemetry", []),
        ("VirtualService", ["vs"]),
        ("Workload", ["wl"]),
        ("WorkloadEntry", ["we"]),
    ]

    /// Every kind of the contract, in order.
    package static var all: [String] { aliases.map(\.kind) }

    private static let byAlias: [String: String] = {
        var table: [String: String] = [:]
        for (kind, others) in aliases {
            let singular = kind.lowercased()
            let plural =
                singular.hasSuffix("cy") || singular.hasSuffix("ry")
                ? String(singular.dropLast()) + "ies" : singular + (singular.hasSuffix("s") ? "es" : "s")
            for name in [singular, plural] + others { table[name] = kind }
        }
        return table
    }()

    /// The kind that `name` stands for, in whatever case; nil where it is none.
    package static func kind(named name: String) -> String? { byAlias[name.lowercased()] }

    /// The nearest kind to a misspelt name.
    package static func nearest(to name: String) -> String? {
        NearestName.of(name, among: byAlias.keys.filter { $0.utf8.count > 3 }.sorted()).flatMap { byAlias[$0] }
    }
}
