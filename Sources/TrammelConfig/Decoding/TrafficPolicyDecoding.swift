/// Decodes the `trafficPolicy` of a DestinationRule, of a subset and of a port.
enum TrafficPolicyDecoding {
    private static let settingNames = ["loadBalancer", "connectionPool", "tls"]
    private static let fields = FieldSet(
        settingNames + ["portLevelSettings"], later: ["outlierDetection", "tunnel", "proxyProtocol", "retryBudget"])
    private static let portFields = FieldSet(settingNames + ["port"], later: ["outlierDetection"])
    private static let selectorFields = FieldSet(["number"], withdrawn: ["name": "write the port's number"])
    private static let balancerFields = FieldSet(
        ["simple"],
        later: ["consistentHash", "localityLbSetting", "zoneAwareLbSetting", "warmupDurationSecs", "warmup"])
    private static let poolFields = FieldSet(["tcp"], later: ["http"])
    private static let tcpFields = FieldSet(
        ["connectTimeout"], later: ["maxConnections", "tcpKeepalive", "maxConnectionDuration", "idleTimeout"])
    private static let tlsFields = FieldSet(
        ["mode"],
        later: [
            "clientCertificate", "privateKey", "caCertificates", "credentialName", "subjectAltNames", "sni",
            "insecureSkipVerify", "caCrl",
        ])

    static func decode(_ field: Field) -> TrafficPolicy? {
        guard let object = field.object(fields) else { return nil }
        var policy = TrafficPolicy(settings: settings(object))
        for item in object["portLevelSettings"]?.list() ?? [] {
            guard let entry = item.object(portFields) else { continue }
            let settings = settings(entry)
            guard let selector = entry.required("port", "the port, as {number: 8080}")?.object(selectorFields),
                let number = selector.required("number", "a port from 1 to 65535"), let port = number.port()
            else { continue }
            if policy.portLevel.updateValue(settings, forKey: port) != nil {
                number.error(.duplicate, "found port \(port) twice in portLevelSettings")
            }
        }
        return policy
    }

    private static func settings(_ object: ObjectField) -> TrafficPolicy.Settings {
        var settings = TrafficPolicy.Settings()
        if let balancer = object["loadBalancer"]?.object(balancerFields), let simple = balancer["simple"] {
            settings.loadBalancer = decode(balancer: simple)
        }
        // Istio: 1 ms at least.
        settings.connectTimeout = object["connectionPool"]?.object(poolFields)?["tcp"]?.object(tcpFields)?[
            "connectTimeout"]?
            .duration(1_000_000...3_600_000_000_000)
        if let mode = object["tls"]?.object(tlsFields)?["mode"],
            let word = mode.oneOf(["DISABLE"], unoffered: ["SIMPLE", "MUTUAL", "ISTIO_MUTUAL"]), word != "DISABLE"
        {
            mode.error(
                .unimplemented, "TLS mode \(word) is not implemented yet; only DISABLE is",
                hint: "remove tls, or write DISABLE")
        }
        return settings
    }

    private static func decode(balancer field: Field) -> LoadBalancer? {
        let words = ["LEAST_REQUEST", "RANDOM", "ROUND_ROBIN", "PASSTHROUGH"]
        switch field.oneOf(words, unoffered: ["LEAST_CONN", "UNSPECIFIED"]) {
        case "UNSPECIFIED", nil: return nil
        case "LEAST_CONN":
            field.warning(.deprecated, "LEAST_CONN is an old name of LEAST_REQUEST", hint: "write LEAST_REQUEST")
            return .leastRequest
        case let word?: return LoadBalancer(rawValue: word)
        }
    }
}

extension Field {
    /// A host name: full, short, or with a wildcard for its first label.
    func host(wildcard: Bool) -> String? {
        guard let text = string() else { return nil }
        if let problem = NameSyntax.problem(ofHost: text, wildcard: wildcard) {
            error(
                .badValue,
                "found \(found), which \(problem); expected a host name such as reviews or reviews.default.svc.cluster.local"
            )
            return nil
        }
        return text.lowercased()
    }
}
