/// Decodes one entry of a Service's `ports`, and what the port is declared to speak.
enum ServicePortDecoding {
    private static let fields = FieldSet(
        ["name", "port", "targetPort", "protocol", "appProtocol"],
        ignored: ["nodePort": "no port of the node is opened"])

    static func decode(_ field: Field, alone: Bool) -> ServiceSpec.Port? {
        guard let object = field.object(fields) else { return nil }
        let name = object["name"]?.string()
        if let name, !name.isEmpty {
            if !NameSyntax.isLabel(name) {
                object["name"]?.error(
                    .badValue, "found \(quoted(name)); expected lower-case letters, digits and '-', 63 at most")
            }
        } else if !alone {
            _ = object.required("name", "a name, since the Service has several ports")
        }
        let transport = decodeTransport(object["protocol"])
        guard let port = object.required("port", "a port from 1 to 65535")?.port() else { return nil }
        let appProtocol = appProtocol(object["appProtocol"], name: name, transport: transport)
        let target = targetPort(object["targetPort"])
        return ServiceSpec.Port(
            name: name, port: port, targetPort: target?.number ?? port, targetPortName: target?.name,
            transport: transport, appProtocol: appProtocol, location: field.location)
    }

    static func decodeTransport(_ field: Field?) -> ServiceSpec.Transport {
        guard let field, let word = field.oneOf(["TCP", "UDP"], unoffered: ["SCTP"]) else { return .tcp }
        if word == "SCTP" { field.error(.unimplemented, "SCTP is not implemented", hint: "write TCP or UDP") }
        return ServiceSpec.Transport(rawValue: word) ?? .tcp
    }

    /// A number, or the name of a port of the workloads.
    private static func targetPort(_ field: Field?) -> (number: UInt16?, name: String?)? {
        guard let field else { return nil }
        guard let name = field.node.string else { return (field.port(), nil) }
        if let problem = NameSyntax.problem(ofPortName: name) {
            field.error(
                .badValue, "found \(quoted(name)), which \(problem); expected a port from 1 to 65535, or a port's name",
                hint: UInt16(name) == nil ? nil : "remove the quotes")
            return nil
        }
        return (nil, name)
    }

    private static func appProtocol(
        _ field: Field?, name: String?, transport: ServiceSpec.Transport
    ) -> AppProtocol {
        if let field, let text = field.nonEmptyString("the name of a protocol") {
            if let known = protocols[text.lowercased()] { return transport == .udp ? .udp : known }
            field.warning(
                .ignored,
                "found \(field.found), which is not known here: the protocol is found out from the first bytes",
                hint: NearestName.hint(for: text, among: protocols.keys.sorted())
                    ?? "known: \(protocols.keys.sorted().joined(separator: ", "))")
            return transport == .udp ? .udp : .undeclared
        }
        if transport == .udp { return .udp }
        // The part before the first '-', as Istio reads port names; `grpc-web` is a protocol of its own.
        let name = (name ?? "").lowercased()
        if name == "grpc-web" || name.hasPrefix("grpc-web-") { return .http }
        return protocols[String(name.prefix { $0 != "-" })] ?? .undeclared
    }

    /// Istio's names, and those that Kubernetes itself defines (KEP-3726).
    static let protocols: [String: AppProtocol] = [
        "http": .http, "http2": .http2, "grpc": .grpc, "grpc-web": .http, "https": .https, "tls": .tls, "tcp": .tcp,
        "mongo": .mongo, "mysql": .mysql, "redis": .redis, "udp": .udp, "kubernetes.io/h2c": .http2,
        "kubernetes.io/ws": .http, "kubernetes.io/wss": .https,
    ]
}
