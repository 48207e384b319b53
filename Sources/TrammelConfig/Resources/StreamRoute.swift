package import TrammelCore

/// One entry of a VirtualService's `tcp` or `tls`: the first whose match holds decides where a connection goes.
package struct StreamRoute: Sendable, Equatable {
    /// ORed. Empty matches every connection, which only `tcp` allows.
    package var match: [StreamMatch]
    package var destinations: [WeightedDestination]
    package var location: SourceLocation

    package init(match: [StreamMatch] = [], destinations: [WeightedDestination], location: SourceLocation) {
        self.match = match
        self.destinations = destinations
        self.location = location
    }

    /// Whether no connection can fail its match.
    package var matchesEverything: Bool { match.isEmpty || match.contains(where: \.isEmpty) }
}

/// Istio's `L4MatchAttributes` and `TLSMatchAttributes`: conditions that must all hold.
package struct StreamMatch: Sendable, Equatable {
    /// Exact names or `*.example.com`, lower case; never empty in `tls`, always empty in `tcp`.
    package var sniHosts: [String] = []
    package var destinationSubnets: [CIDR] = []
    package var port: UInt16?
    package var sourceLabels: [String: String] = [:]
    package var sourceNamespace: String?
    /// Empty means those of the VirtualService. Without `mesh` in it the match never holds for captured traffic.
    package var gateways: [String] = []
    package var location: SourceLocation

    package init(location: SourceLocation) { self.location = location }

    var isEmpty: Bool {
        sniHosts.isEmpty && destinationSubnets.isEmpty && port == nil && sourceLabels.isEmpty && sourceNamespace == nil
            && gateways.isEmpty
    }
}
