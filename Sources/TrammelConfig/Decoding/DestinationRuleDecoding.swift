/// Decodes Istio's `DestinationRule` (networking/v1alpha3/destination_rule.proto).
enum DestinationRuleDecoding {
    private static let fields = FieldSet(
        ["host", "trafficPolicy", "subsets", "exportTo"], later: ["workloadSelector"])
    private static let subsetFields = FieldSet(["name", "labels", "trafficPolicy"])

    static func decode(_ spec: Field) -> DestinationRuleSpec? {
        guard let object = spec.object(fields) else { return nil }
        let exportTo = ExportToDecoding.decode(object["exportTo"])
        let policy = object["trafficPolicy"].flatMap { TrafficPolicyDecoding.decode($0) } ?? TrafficPolicy()
        var subsets: [DestinationRuleSpec.Subset] = []
        for field in object["subsets"]?.list() ?? [] {
            guard let subset = decode(subset: field) else { continue }
            if let other = subsets.first(where: { $0.name == subset.name }) {
                field.error(
                    .duplicate, "found the subset \(quoted(subset.name)) again, first on line \(other.location.line)")
            }
            subsets.append(subset)
        }
        guard let host = object.required("host", "the host the rule is for")?.host(wildcard: true) else { return nil }
        return DestinationRuleSpec(host: host, trafficPolicy: policy, subsets: subsets, exportTo: exportTo)
    }

    private static func decode(subset field: Field) -> DestinationRuleSpec.Subset? {
        guard let object = field.object(subsetFields) else { return nil }
        let labels = object["labels"].map(MetadataDecoding.decodeLabels) ?? [:]
        let policy = object["trafficPolicy"].flatMap { TrafficPolicyDecoding.decode($0) } ?? TrafficPolicy()
        guard let name = object.required("name", "the subset's name"), let text = name.string() else { return nil }
        guard NameSyntax.isLabel(text) else {
            name.error(.badValue, "found \(name.found); expected lower-case letters, digits and '-', 63 at most")
            return nil
        }
        return .init(name: text, labels: labels, trafficPolicy: policy, location: field.location)
    }
}
