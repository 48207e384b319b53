/// Decodes `trammel.dev/v1 MeshConfig`; the fields bear the names of Istio's mesh configuration.
enum MeshConfigDecoding {
    private static let fields = FieldSet(
        ["outboundTrafficPolicy"], later: ["accessLogFormat", "enableTracing", "trustDomain"])
    private static let policyFields = FieldSet(["mode"])

    static func decode(_ spec: Field) -> MeshConfigSpec? {
        guard let object = spec.object(fields) else { return nil }
        var result = MeshConfigSpec()
        if let mode = object["outboundTrafficPolicy"]?.object(policyFields)?["mode"],
            let word = mode.oneOf(["ALLOW_ANY", "REGISTRY_ONLY"])
        {
            result.outboundTrafficPolicy = .init(rawValue: word) ?? .allowAny
        }
        return result
    }
}
