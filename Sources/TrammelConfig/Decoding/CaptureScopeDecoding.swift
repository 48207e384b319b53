import TrammelCore

/// Decodes what a Workload says of the traffic to capture; the fields bear the names of the attach request.
enum CaptureScopeDecoding {
    static let fields = ["excludeOutboundCIDRs", "excludeOutboundPorts", "excludeInboundPorts"]
    /// Those that are refused by name.
    static let laterFields = CaptureScope.CodingKeys.allCases.map(\.rawValue).filter { !fields.contains($0) }

    static func decode(_ object: ObjectField) -> CaptureScope {
        CaptureScope { scope in
            scope.excludeOutboundCIDRs = blocks(object["excludeOutboundCIDRs"])
            scope.excludeOutboundPorts = ports(object["excludeOutboundPorts"])
            scope.excludeInboundPorts = ports(object["excludeInboundPorts"])
        }
    }

    private static func blocks(_ field: Field?) -> [String] {
        (field?.list() ?? []).compactMap { item in
            guard let text = item.string() else { return nil }
            if CIDR(text) == nil {
                item.error(.badValue, "found \(item.found); expected an address or a block such as 10.1.0.0/16")
            }
            return text
        }
    }

    private static func ports(_ field: Field?) -> [UInt16] {
        (field?.list() ?? []).compactMap { $0.port() }
    }
}
