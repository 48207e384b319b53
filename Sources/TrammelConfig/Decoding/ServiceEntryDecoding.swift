import TrammelCore

/// Decodes Istio's `ServiceEntry` (networking/v1alpha3/service_entry.proto).
enum ServiceEntryDecoding {
    private static let fields = FieldSet(
        ["hosts", "addresses", "ports", "location", "resolution", "endpoints", "workloadSelector", "exportTo"],
        later: ["subjectAltNames"], withdrawn: ["host": "write hosts, a list"])
    private static let portFields = FieldSet(
        ["number", "name", "protocol", "targetPort"],
        withdrawn: ["port": "write number", "appProtocol": "write protocol"])
    private static let selectorFields = FieldSet(["labels"], withdrawn: ["matchLabels": "write labels"])

    /// Istio's, in upper case, with what each is here.
    private static let protocols: [(word: String, meaning: AppProtocol)] = [
        ("HTTP", .http), ("HTTPS", .https), ("HTTP2", .http2), ("GRPC", .grpc), ("GRPC-WEB", .http), ("TLS", .tls),
        ("TCP", .tcp), ("MONGO", .mongo), ("MYSQL", .mysql), ("REDIS", .redis), ("UDP", .udp),
    ]

    static func decode(_ spec: Field) -> ServiceEntrySpec? {
        guard let object = spec.object(fields) else { return nil }
        let resolution = decode(resolution: object["resolution"])
        let hosts = decode(hosts: object.required("hosts", "the hosts that the entry is for"))
        let addresses = decode(addresses: object["addresses"], resolution)
        let ports = decode(ports: object, resolution)
        let selector = object["workloadSelector"].flatMap { decode(selector: $0) }
        let endpoints = decode(endpoints: object["endpoints"], ports, resolution)
        object.exclusive(
            ["endpoints", "workloadSelector"], hint: "write the addresses, or the labels of the workloads")
        if let resolution { checkEndpoints(object, hosts, resolution, endpoints) }
        if hosts.count > 1, let resolution, resolution != .none { checkHosts(object, ports) }
        let location = object["location"]?.oneOf(["MESH_EXTERNAL", "MESH_INTERNAL"]) ?? "MESH_EXTERNAL"
        return ServiceEntrySpec(
            hosts: hosts, addresses: addresses, ports: ports, location: .init(rawValue: location) ?? .external,
            resolution: resolution ?? .none, endpoints: endpoints,
            workloadSelector: resolution == ServiceEntrySpec.Resolution.none ? nil : selector,
            exportTo: ExportToDecoding.decode(object["exportTo"]))
    }

    /// Nil where it is wrong, so that nothing is held against a rule of another resolution.
    private static func decode(resolution field: Field?) -> ServiceEntrySpec.Resolution? {
        guard let field else { return ServiceEntrySpec.Resolution.none }
        let word = field.oneOf(["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN"], unoffered: ["DYNAMIC_DNS"])
        if word == "DYNAMIC_DNS" {
            field.error(
                .unimplemented, "resolution DYNAMIC_DNS is not implemented yet",
                hint: "write DNS with the hosts' full names, or NONE for a wildcard")
        }
        return word.flatMap(ServiceEntrySpec.Resolution.init)
    }

    // MARK: Hosts and addresses

    private static func decode(hosts list: Field?) -> [String] {
        guard let list, let items = list.list() else { return [] }
        if items.isEmpty { list.error(.badValue, "found an empty list; expected at least one host") }
        var hosts: [String] = []
        for item in items {
            guard let text = item.string() else { continue }
            if text == "*" {
                item.error(
                    .badValue, "found \"*\"; expected a host name, or a wildcard such as *.example.com",
                    hint: "for every host there is, set outboundTrafficPolicy of MeshConfig to ALLOW_ANY")
                continue
            }
            if isAddress(text) {
                item.error(
                    .badValue, "found the address \(text); expected a host name",
                    hint: "write it under addresses, and a name of your own under hosts")
                continue
            }
            guard let host = item.host(wildcard: true) else { continue }
            if hosts.contains(host) { item.error(.duplicate, "found the host \(quoted(host)) twice") }
            hosts.append(host)
        }
        return hosts
    }

    /// No name ends in a label of digits alone: such a text is an address, or was to be one.
    private static func isAddress(_ text: String) -> Bool {
        guard let last = text.split(separator: ".").last else { return false }
        return IPAddress(text) != nil || CIDR(text) != nil || last.utf8.allSatisfy { (0x30...0x39).contains($0) }
    }

    private static func decode(
        addresses list: Field?, _ resolution: ServiceEntrySpec.Resolution?
    ) -> [CIDR] {
        var addresses: [CIDR] = []
        for item in list?.list() ?? [] {
            guard let text = item.string() else { continue }
            guard let block = CIDR(text) else {
                let isName = NameSyntax.problem(ofHost: text, wildcard: true) == nil && !isAddress(text)
                item.error(
                    .badValue, "found \(item.found); expected an IP address or a block such as 10.1.0.0/16",
                    hint: isName ? "names stand under hosts" : nil)
                continue
            }
            if block.prefixLength == block.base.family.bits {
                if block.base.isUnspecified || block.base.isMulticast {
                    item.error(.badValue, "found \(block.base), which cannot be a service's address")
                }
            } else if let resolution, resolution == .dns || resolution == .dnsRoundRobin {
                item.error(
                    .conflict,
                    "found the block \(text); with resolution \(resolution.rawValue) only single addresses may stand here",
                    hint: "write single addresses, or resolution NONE")
            }
            if !addresses.contains(block) { addresses.append(block) }
        }
        return addresses
    }

    // MARK: Ports

    private static func decode(ports object: ObjectField, _ resolution: ServiceEntrySpec.Resolution?)
        -> [ServiceSpec.Port]
    {
        guard let list = object["ports"] else {
            object.field.warning(
                .missing, "no ports: the entry names hosts and carries no traffic",
                hint: "write them as {number: 443, name: tls, protocol: TLS}")
            return []
        }
        var ports: [ServiceSpec.Port] = []
        for field in list.list() ?? [] {
            guard let port = decode(port: field, resolution) else { continue }
            if let other = ports.first(where: { $0.port == port.port }) {
                field.error(.duplicate, "found port \(port.port) again, first on line \(other.location.line)")
            }
            if let other = ports.first(where: { $0.name == port.name }) {
                field.error(
                    .duplicate,
                    "found the port name \(quoted(port.name ?? "")) again, first on line \(other.location.line)")
            }
            ports.append(port)
        }
        return ports
    }

    private static func decode(port field: Field, _ resolution: ServiceEntrySpec.Resolution?) -> ServiceSpec.Port? {
        if case .scalar(let scalar) = field.node.value, scalar.type == .integer {
            field.wrongType("a mapping", hint: "write {number: \(scalar.text), name: http, protocol: HTTP}")
            return nil
        }
        guard let object = field.object(portFields) else { return nil }
        let meaning = object["protocol"].flatMap { decode(protocol: $0) } ?? .undeclared
        if let target = object["targetPort"], target.port() != nil, resolution == ServiceEntrySpec.Resolution.none {
            target.error(
                .unimplemented,
                "targetPort with resolution NONE (it is NONE where absent) is not implemented yet: a connection keeps its port",
                hint: "remove it, or write resolution STATIC or DNS")
        }
        guard let name = object.required("name", "a name such as http or tcp-db"), let text = name.nonEmptyString()
        else {
            return nil
        }
        if !NameSyntax.isLabel(text) {
            name.error(.badValue, "found \(name.found); expected lower-case letters, digits and '-', 63 at most")
        }
        guard let number = object.required("number", "a port from 1 to 65535")?.port() else { return nil }
        let target = object["targetPort"]?.node.string == nil ? object["targetPort"]?.node.portNumber : nil
        return ServiceSpec.Port(
            name: text, port: number, targetPort: target ?? number, transport: meaning == .udp ? .udp : .tcp,
            appProtocol: meaning, location: field.location)
    }

    private static func decode(protocol field: Field) -> AppProtocol? {
        guard let text = field.nonEmptyString("a protocol") else { return nil }
        let word = text.uppercased()
        if let known = protocols.first(where: { $0.word == word }) { return known.meaning }
        let words = protocols.map(\.word)
        field.error(
            .badValue, "found \(field.found); expected \(words.joined(separator: ", "))",
            hint: NearestName.hint(for: text, among: words))
        return nil
    }

    // MARK: Endpoints

    private static func decode(selector field: Field) -> [String: String]? {
        guard let object = field.object(selectorFields) else { return nil }
        let labels = object["labels"].map(MetadataDecoding.decodeLabels) ?? [:]
        if labels.isEmpty, object.meant.isEmpty {
            field.warning(
                .missing, "no labels: every workload of the namespace is an endpoint", hint: "write labels: {app: db}")
        }
        return labels
    }

    private static func decode(
        endpoints list: Field?, _ ports: [ServiceSpec.Port], _ resolution: ServiceEntrySpec.Resolution?
    ) -> [WorkloadEntrySpec] {
        (list?.list() ?? []).compactMap { item in
            guard let endpoint = WorkloadEntryDecoding.decode(item) else { return nil }
            let names = ports.compactMap(\.name)
            for entry in item.child("ports")?.map() ?? [] where !names.contains(entry.key) {
                item.context.error(
                    .badValue, at: entry.keyPosition, field: entry.value.path.text,
                    "found the port name \(quoted(entry.key)), which the entry's ports do not have",
                    hint: NearestName.hint(for: entry.key, among: names)
                        ?? (names.isEmpty ? nil : "they are \(names.joined(separator: ", "))"))
            }
            if case .host(let name) = endpoint.address, resolution == .static {
                (item.child("address") ?? item).error(
                    .conflict, "found the name \(quoted(name)); with resolution STATIC endpoints are IP addresses",
                    hint: "write an IP address, or resolution DNS")
            }
            return endpoint
        }
    }

    private static func checkEndpoints(
        _ object: ObjectField, _ hosts: [String], _ resolution: ServiceEntrySpec.Resolution,
        _ endpoints: [WorkloadEntrySpec]
    ) {
        let list = object["endpoints"]
        let isEmpty = if case .sequence(let items) = list?.node.value { items.isEmpty } else { list == nil }
        let selector = object["workloadSelector"]
        switch resolution {
        case .none:
            if let list, !isEmpty {
                let absent = object["resolution"] == nil ? " (it is NONE where absent)" : ""
                let names = endpoints.contains { if case .host = $0.address { true } else { false } }
                list.error(
                    .conflict,
                    "found endpoints with resolution NONE\(absent), which sends each connection where it was going",
                    hint: "write resolution \(names ? "DNS" : "STATIC"), or remove the endpoints")
            }
            selector?.warning(
                .ignored, "no effect with resolution NONE, which sends each connection where it was going",
                hint: "write resolution STATIC")
        case .static:
            if isEmpty, selector == nil {
                object.field.warning(
                    .missing, "resolution STATIC without endpoints and workloadSelector: every request gets 503",
                    hint: "write endpoints, or resolution DNS to look the host up")
            }
        case .dns, .dnsRoundRobin:
            if isEmpty, selector == nil, let hostList = object["hosts"], case .sequence(let nodes) = hostList.node.value
            {
                for (index, node) in nodes.enumerated() where node.string?.hasPrefix("*") ?? false && node.string != "*"
                {
                    Field(node: node, path: .index(hostList.path, index), context: hostList.context).error(
                        .conflict, "found the wildcard \(quoted(node.string ?? "")), which has no address to look up",
                        hint: "write full names, or name endpoints, or write resolution NONE")
                }
            }
            if resolution == .dnsRoundRobin, endpoints.count > 1 {
                list?.error(
                    .conflict, "found \(endpoints.count) endpoints; with resolution DNS_ROUND_ROBIN one at most",
                    hint: "write resolution DNS to balance over several")
            }
        }
    }

    /// Bytes alone do not tell which of several hosts a connection is for.
    private static func checkHosts(_ object: ObjectField, _ ports: [ServiceSpec.Port]) {
        let telling: Set<AppProtocol> = [.http, .http2, .grpc, .https, .tls]
        guard let port = ports.first(where: { !telling.contains($0.appProtocol) }), let list = object["hosts"] else {
            return
        }
        list.error(
            .conflict,
            "found several hosts and the port \(port.port) (line \(port.location.line)), whose protocol does not tell them apart",
            hint: "write one ServiceEntry for each host, or a protocol that does, such as HTTP or TLS")
    }
}

extension ConfigNode {
    fileprivate var portNumber: UInt16? {
        guard case .scalar(let scalar) = value, scalar.type == .integer else { return nil }
        return UInt16(scalar.text)
    }
}
