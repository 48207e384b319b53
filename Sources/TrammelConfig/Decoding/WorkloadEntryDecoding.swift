import TrammelCore

/// Decodes Istio's `WorkloadEntry` (networking/v1alpha3/workload_entry.proto), also where it is an endpoint of a
/// ServiceEntry.
enum WorkloadEntryDecoding {
    private static let fields = FieldSet(
        ["address", "ports", "labels", "locality", "weight", "serviceAccount"],
        ignored: ["network": "every endpoint is dialled at its own address"],
        withdrawn: [
            "port": "write ports: {NAME: 8080}, by the name of the service's port", "host": "write address",
            "ip": "write address", "addresses": "write address, and one entry for each",
        ])

    static func decode(_ spec: Field) -> WorkloadEntrySpec? {
        if let text = spec.node.string {
            spec.wrongType("a mapping", hint: "write {address: \(text)}")
            return nil
        }
        guard let object = spec.object(fields) else { return nil }
        var ports: [String: UInt16] = [:]
        if let list = object["ports"], case .sequence = list.node.value {
            list.wrongType("a mapping", hint: "write ports: {NAME: 8080}, by the name of the service's port")
            return nil
        }
        for entry in object["ports"]?.map() ?? [] {
            let isNumber = entry.key.utf8.allSatisfy { (0x30...0x39).contains($0) }
            if isNumber, !entry.key.isEmpty {
                spec.context.warning(
                    .ignored, at: entry.keyPosition, field: entry.value.path.text,
                    "found the number \(entry.key) for a name: it is for a service's port that is called so",
                    hint: "write the name of the service's port")
            }
            if !NameSyntax.isLabel(entry.key) {
                spec.context.error(
                    .badValue, at: entry.keyPosition, field: entry.value.path.text,
                    "found the port name \(quoted(entry.key)); expected lower-case letters, digits and '-', 63 at most")
            }
            ports[entry.key] = entry.value.port()
        }
        let labels = object["labels"].map(MetadataDecoding.decodeLabels) ?? [:]
        let weight = object["weight"].flatMap { $0.integer(0...Int(UInt32.max), "a weight") } ?? 0
        let locality = object["locality"]?.string() ?? ""
        let serviceAccount = object["serviceAccount"]?.string() ?? ""
        let network = spec.child("network")?.string() ?? ""
        guard let address = object.required("address", "an IP address or a host name"),
            let decoded = decode(address: address)
        else { return nil }
        return WorkloadEntrySpec(
            address: decoded, ports: ports, labels: labels, network: network, locality: locality,
            weight: UInt32(weight), serviceAccount: serviceAccount, location: spec.location)
    }

    private static func decode(address field: Field) -> WorkloadEntrySpec.Address? {
        guard let text = field.nonEmptyString("an IP address or a host name") else { return nil }
        if text.hasPrefix("unix://") {
            field.error(
                .unimplemented, "found \(field.found); Unix sockets as endpoints are not implemented yet",
                hint: "let the program listen on a TCP port, and write its address")
            return nil
        }
        if let address = IPAddress(text) {
            if address.isUnspecified || address.isMulticast {
                field.error(.badValue, "found \(address), which cannot be an endpoint's address")
                return nil
            }
            return .ip(address)
        }
        if CIDR(text) != nil {
            field.error(.badValue, "found the block \(text); expected one address, or a host name")
            return nil
        }
        if let port = splitPort(text) {
            field.error(
                .badValue, "found \(field.found), which holds a port; expected an address alone",
                hint: "write the port under ports, by the name of the service's port: {NAME: \(port)}")
            return nil
        }
        let isBadAddress = text.utf8.allSatisfy { (0x30...0x39).contains($0) || $0 == UInt8(ascii: ".") }
        if isBadAddress {
            field.error(.badValue, "found \(field.found), which is no IP address; expected four numbers from 0 to 255")
            return nil
        }
        if let problem = NameSyntax.problem(ofHost: text, wildcard: false) {
            field.error(.badValue, "found \(field.found), which \(problem); expected an IP address or a host name")
            return nil
        }
        return .host(text.lowercased())
    }

    /// The port of `10.0.0.1:80`, `[::1]:80` or `db.example.com:80`.
    private static func splitPort(_ text: String) -> UInt16? {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        let rest = text[..<colon]
        return rest.hasSuffix("]") || !rest.contains(":") ? port : nil
    }
}
