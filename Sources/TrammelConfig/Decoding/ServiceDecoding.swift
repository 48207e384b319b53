import TrammelCore

/// Decodes core `v1 Service`.
enum ServiceDecoding {
    private static let external = "only the part inside the mesh is done"

    private static let fields = FieldSet(
        [
            "selector", "ports", "clusterIP", "clusterIPs", "type", "ipFamilies", "ipFamilyPolicy", "sessionAffinity",
            "internalTrafficPolicy", "externalName",
        ],
        later: ["externalIPs"],
        ignored: [
            "allocateLoadBalancerNodePorts": external, "externalTrafficPolicy": external,
            "healthCheckNodePort": external, "loadBalancerClass": external, "loadBalancerIP": external,
            "loadBalancerSourceRanges": external,
            "publishNotReadyAddresses": "only ready endpoints are used",
            "sessionAffinityConfig": "session affinity is not implemented yet",
            "trafficDistribution": "every ready endpoint is used alike",
        ])

    /// - Parameter metadata: of the document, whose annotation says to whom the Service is exported.
    static func decode(_ spec: Field, metadata: Field?) -> ServiceSpec? {
        guard let object = spec.object(fields) else { return nil }
        if let type = object["type"] { check(type: type) }
        if let affinity = object["sessionAffinity"], affinity.oneOf(["None"], unoffered: ["ClientIP"]) == "ClientIP" {
            affinity.error(.unimplemented, "sessionAffinity ClientIP is not implemented yet", hint: "write None")
        }
        if let policy = object["internalTrafficPolicy"], policy.oneOf(["Cluster"], unoffered: ["Local"]) == "Local" {
            policy.error(.unimplemented, "internalTrafficPolicy Local is not implemented yet", hint: "write Cluster")
        }
        if object["externalName"] != nil, object["type"]?.node.string != "ExternalName" {
            object["externalName"]?.error(.conflict, "externalName belongs to a Service of type ExternalName")
        }
        let selector = object["selector"].map(MetadataDecoding.decodeLabels) ?? [:]
        let clusterIP = decodeClusterIP(object)
        let families = decodeFamilies(object)
        if case .addresses(let addresses) = clusterIP, !families.isEmpty {
            for address in addresses where !families.contains(address.family) {
                (object["clusterIPs"] ?? object["clusterIP"])?.error(
                    .conflict, "\(address) is of a family that ipFamilies does not name")
            }
        }
        let ports = decodePorts(object, clusterIP: clusterIP)
        return ServiceSpec(
            selector: selector, ports: ports, clusterIP: clusterIP, ipFamilies: families,
            exportTo: ExportToDecoding.decode(annotationOf: metadata))
    }

    private static func check(type: Field) {
        switch type.oneOf(["ClusterIP", "NodePort", "LoadBalancer"], unoffered: ["ExternalName"]) {
        case "NodePort", "LoadBalancer":
            type.warning(
                .ignored, "\(type.found) opens no port to the outside here: \(external)",
                hint: "ClusterIP says the same without this warning")
        case "ExternalName":
            type.error(
                .unimplemented, "type ExternalName is not implemented yet", hint: "call the external name directly")
        default: break
        }
    }

    /// `clusterIP` and `clusterIPs` say the same twice; either may stand alone.
    private static func decodeClusterIP(_ object: ObjectField) -> ServiceSpec.ClusterIP {
        let single = object["clusterIP"]
        let list = object["clusterIPs"]
        var fields = list?.list() ?? []
        if let single, list == nil { fields = [single] }
        if fields.count > 2 {
            list?.error(.badValue, "found \(fields.count) addresses; expected one of each family at most")
        }
        if let single, let first = fields.first, first.node.string != single.node.string {
            single.error(
                .conflict, "found \(single.found), and \(first.found) as the first of clusterIPs; they must agree")
        }
        var addresses: [IPAddress] = []
        for field in fields {
            guard let text = field.string() else { continue }
            if text == "None" {
                if fields.count > 1 { field.error(.conflict, "None stands alone") }
                return .headless
            }
            if text.isEmpty { continue }
            guard let address = IPAddress(text) else {
                field.error(.badValue, "found \(field.found); expected an IP address or None")
                continue
            }
            if address.isUnspecified || address.isLoopback || address.isMulticast || address.isLinkLocal {
                field.error(.badValue, "found \(address), which cannot be a service's address")
            }
            if addresses.contains(where: { $0.family == address.family }) {
                field.error(.badValue, "found a second address of one family; expected one of each at most")
            }
            addresses.append(address)
        }
        return addresses.isEmpty ? .allocate : .addresses(addresses)
    }

    private static func decodeFamilies(_ object: ObjectField) -> [IPAddress.Family] {
        var families: [IPAddress.Family] = []
        for field in object["ipFamilies"]?.list() ?? [] {
            guard let word = field.oneOf(["IPv4", "IPv6"]) else { continue }
            let family: IPAddress.Family = word == "IPv4" ? .v4 : .v6
            if families.contains(family) { field.error(.duplicate, "found \(word) twice") }
            families.append(family)
        }
        if let policy = object["ipFamilyPolicy"],
            let word = policy.oneOf(["SingleStack", "PreferDualStack", "RequireDualStack"])
        {
            if word == "SingleStack", families.count > 1 {
                policy.error(.conflict, "found SingleStack with two ipFamilies; expected one")
            } else if word != "SingleStack" {
                families = families.isEmpty ? [] : families + [.v4, .v6].filter { !families.contains($0) }
            } else if families.isEmpty {
                families = [.v4]
            }
        }
        return families
    }

    private static func decodePorts(_ object: ObjectField, clusterIP: ServiceSpec.ClusterIP) -> [ServiceSpec.Port] {
        guard let list = object["ports"] else {
            // A headless service may be nothing but a name for its endpoints.
            if clusterIP != .headless { _ = object.required("ports", "a list of ports") }
            return []
        }
        let fields = list.list() ?? []
        if fields.isEmpty, case .sequence = list.node.value, clusterIP != .headless {
            list.error(.badValue, "found an empty list; expected at least one port")
        }
        var ports: [ServiceSpec.Port] = []
        for field in fields {
            guard let port = ServicePortDecoding.decode(field, alone: fields.count == 1) else { continue }
            if let other = ports.first(where: { $0.port == port.port && $0.transport == port.transport }) {
                field.error(
                    .duplicate,
                    "found port \(port.port)/\(port.transport.rawValue) again, first on line \(other.location.line)")
            }
            if let name = port.name, let other = ports.first(where: { $0.name == name }) {
                field.error(
                    .duplicate, "found the port name \(quoted(name)) again, first on line \(other.location.line)")
            }
            ports.append(port)
        }
        return ports
    }
}
