import TrammelCore

/// Decodes `discovery.k8s.io/v1 EndpointSlice`, whose fields stand at the top of the document.
enum EndpointSliceDecoding {
    static let serviceLabel = "kubernetes.io/service-name"

    static let fields = FieldSet(
        ["apiVersion", "kind", "metadata", "addressType", "endpoints", "ports"],
        withdrawn: ["spec": "write addressType, endpoints and ports beside metadata"])
    private static let endpointFields = FieldSet(
        ["addresses", "conditions", "hostname", "nodeName", "zone", "targetRef"],
        ignored: [
            "hints": "every ready endpoint is used alike", "deprecatedTopology": "nodeName and zone say it today",
        ],
        withdrawn: ["address": "write addresses, a list", "ip": "write addresses, a list"])
    private static let conditionFields = FieldSet(["ready", "serving", "terminating"])
    private static let targetFields = FieldSet(
        ["apiVersion", "fieldPath", "kind", "name", "namespace", "resourceVersion", "uid"])
    private static let portFields = FieldSet(
        ["name", "port", "protocol"],
        ignored: ["appProtocol": "the Service's port says what it speaks"],
        withdrawn: ["targetPort": "write port: it is the endpoints' own"])

    static func decode(_ object: ObjectField) -> EndpointSliceSpec? {
        // All of it stands in the wrong place then.
        if object["spec"] != nil { return nil }
        let service = decodeService(object)
        let family = decodeFamily(object)
        let ports = decodePorts(object)
        var endpoints: [EndpointSliceSpec.Endpoint] = []
        // A slice that was scaled to nothing keeps an empty list.
        if object["addressType"]?.node.string != "FQDN", let list = object["endpoints"], let items = list.list() {
            endpoints = items.compactMap { decode(endpoint: $0, family) }
        }
        guard let service, family != nil else { return nil }
        return EndpointSliceSpec(service: service, endpoints: endpoints, ports: ports)
    }

    private static func decodeService(_ object: ObjectField) -> String? {
        // A document without metadata has been told of.
        guard let metadata = object["metadata"] else { return nil }
        guard let label = metadata.child("labels")?.child(serviceLabel), let name = label.node.string else {
            (metadata.child("labels") ?? metadata).error(
                .missing, "no label \(serviceLabel); expected the name of the Service the endpoints are for",
                hint: "write labels: {\(serviceLabel): NAME}")
            return nil
        }
        return name
    }

    private static func decodeFamily(_ object: ObjectField) -> IPAddress.Family? {
        guard let field = object.required("addressType", "IPv4 or IPv6") else { return nil }
        switch field.oneOf(["IPv4", "IPv6"], unoffered: ["FQDN"]) {
        case "IPv4": return .v4
        case "IPv6": return .v6
        case "FQDN":
            field.error(
                .unimplemented, "addressType FQDN is not implemented; expected IPv4 or IPv6",
                hint: "a ServiceEntry with resolution DNS has names for endpoints")
            return nil
        default: return nil
        }
    }

    private static func decodePorts(_ object: ObjectField) -> [EndpointSliceSpec.Port] {
        guard let list = object["ports"] else {
            object.field.warning(
                .missing, "no ports: the endpoints cannot be reached", hint: "write them as {name: http, port: 8080}")
            return []
        }
        let fields = list.list() ?? []
        var ports: [EndpointSliceSpec.Port] = []
        for field in fields {
            guard let item = field.object(portFields) else { continue }
            var name = item["name"]?.string()
            if name?.isEmpty ?? false { name = nil }
            if let name, !NameSyntax.isLabel(name) {
                item["name"]?.error(
                    .badValue, "found \(quoted(name)); expected lower-case letters, digits and '-', 63 at most")
            }
            let transport = item["protocol"].map(ServicePortDecoding.decodeTransport) ?? .tcp
            guard let number = item.required("port", "a port from 1 to 65535")?.port() else { continue }
            if ports.contains(where: { $0.name == name }) {
                field.error(
                    .duplicate,
                    name.map { "found the port name \(quoted($0)) twice" } ?? "found a second port without name")
            }
            ports.append(.init(name: name, port: number, transport: transport))
        }
        return ports
    }

    private static func decode(endpoint field: Field, _ family: IPAddress.Family?) -> EndpointSliceSpec.Endpoint? {
        guard let object = field.object(endpointFields),
            let list = object.required("addresses", "a list of addresses"), let items = list.list()
        else { return nil }
        if items.isEmpty { list.error(.badValue, "found an empty list; expected at least one address") }
        let addresses = items.compactMap { decode(address: $0, family) }
        let conditions = object["conditions"]?.object(conditionFields)
        let ready = conditions?["ready"]?.bool() ?? true
        let terminating = conditions?["terminating"]?.bool() ?? false
        let serving = conditions?["serving"]?.bool() ?? false
        let target = object["targetRef"]?.object(targetFields)?["name"]?.string()
        let endpoint = EndpointSliceSpec.Endpoint(
            addresses: addresses, isReady: ready || serving && terminating, isTerminating: terminating,
            hostname: object["hostname"]?.string() ?? "", node: object["nodeName"]?.string() ?? "",
            zone: object["zone"]?.string() ?? "", target: target ?? "")
        return addresses.isEmpty ? nil : endpoint
    }

    private static func decode(address field: Field, _ family: IPAddress.Family?) -> IPAddress? {
        guard let text = field.string() else { return nil }
        guard let address = IPAddress(text) else {
            let isName = NameSyntax.problem(ofHost: text, wildcard: false) == nil
            field.error(
                .badValue, "found \(field.found); expected an IP address",
                hint: isName ? "a ServiceEntry with resolution DNS has names for endpoints" : nil)
            return nil
        }
        if let family, address.family != family {
            field.error(
                .conflict, "found \(address) in a slice of \(family == .v4 ? "IPv4" : "IPv6") addresses",
                hint: "write one slice for each family")
            return nil
        }
        if address.isUnspecified || address.isLoopback || address.isMulticast || address.isLinkLocal {
            field.error(.badValue, "found \(address), which cannot be an endpoint's address")
            return nil
        }
        return address
    }
}
