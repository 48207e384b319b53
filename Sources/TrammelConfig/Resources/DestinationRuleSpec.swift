/// Istio's `DestinationRule` as far as it is built: subsets, balancing, connect timeout.
package struct DestinationRuleSpec: Sendable, Equatable {
    /// As written; a short name resolves in the namespace of the resource.
    package var host: String
    package var trafficPolicy: TrafficPolicy
    package var subsets: [Subset]
    package var exportTo: ExportTo

    package struct Subset: Sendable, Equatable {
        package var name: String
        package var labels: [String: String]
        /// Overrides the rule's, field by field.
        package var trafficPolicy: TrafficPolicy
        package var location: SourceLocation

        package init(
            name: String, labels: [String: String], trafficPolicy: TrafficPolicy = TrafficPolicy(),
            location: SourceLocation
        ) {
            self.name = name
            self.labels = labels
            self.trafficPolicy = trafficPolicy
            self.location = location
        }
    }

    package init(
        host: String, trafficPolicy: TrafficPolicy = TrafficPolicy(), subsets: [Subset] = [],
        exportTo: ExportTo = .everywhere
    ) {
        self.host = host
        self.trafficPolicy = trafficPolicy
        self.subsets = subsets
        self.exportTo = exportTo
    }
}

package struct TrafficPolicy: Sendable, Equatable {
    package var settings: Settings
    /// By port; such settings replace the destination's, they do not merge with them.
    package var portLevel: [UInt16: Settings]

    package struct Settings: Sendable, Equatable {
        package var loadBalancer: LoadBalancer?
        /// Nanoseconds; 10 s where nil.
        package var connectTimeout: UInt64?

        package init(loadBalancer: LoadBalancer? = nil, connectTimeout: UInt64? = nil) {
            self.loadBalancer = loadBalancer
            self.connectTimeout = connectTimeout
        }
    }

    package init(settings: Settings = Settings(), portLevel: [UInt16: Settings] = [:]) {
        self.settings = settings
        self.portLevel = portLevel
    }
}

package enum LoadBalancer: String, Sendable, Hashable {
    case leastRequest = "LEAST_REQUEST"
    case random = "RANDOM"
    case roundRobin = "ROUND_ROBIN"
    case passthrough = "PASSTHROUGH"
}
