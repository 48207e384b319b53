import TrammelConfig
import TrammelControlAPI

/// What an apply would change, resource by resource: what is stored against what the files say.
struct ChangePlan: Sendable {
    struct Entry: Sendable {
        var result: ResourceResult
        /// Where the new document is written; nil for what goes.
        var source: String?
        /// As YAML; empty for what is not there.
        var old: String
        var new: String
    }

    /// The answer to the dry run, with its warnings.
    var result: ApplyResult
    /// What is not unchanged.
    var entries: [Entry]

    /// Asks the agent what it would do, and for what it holds of each that would change.
    static func of(_ request: ApplyRequest, _ agent: ControlClient) async throws -> ChangePlan {
        var request = request
        request.dryRun = true
        let result = try await agent.apply(request)
        let written = try written(in: request)
        var entries: [Entry] = []
        for item in result.results where item.outcome != .unchanged {
            let key = ResourceName(kind: item.kind, namespace: item.namespace, name: item.name)
            var old = ""
            if item.outcome != .created {
                let query = ResourceQuery(kind: item.kind, namespace: item.namespace, name: item.name)
                old = try await agent.resources(query).first.map { try text(of: $0.document) } ?? ""
            }
            let isGoing = item.outcome == .pruned || item.outcome == .deleted
            entries.append(
                Entry(
                    result: item, source: isGoing ? nil : written[key]?.source, old: old,
                    new: isGoing ? "" : try written[key].map { try text(of: $0.document) } ?? ""))
        }
        return ChangePlan(result: result, entries: entries)
    }

    /// As a unified diff for each resource.
    func lines(_ style: Style) -> [String] {
        entries.flatMap { entry in
            let name = "\(entry.result.kind) \(entry.result.namespace)/\(entry.result.name)"
            let changes = UnifiedDiff.of(entry.old, entry.new)
            guard !changes.isEmpty else { return [String]() }
            let old = entry.result.outcome == .created ? "not there yet" : "as it is"
            let new = entry.source ?? "no longer there"
            return [style.paint("--- \(name) (\(old))", .heading), style.paint("+++ \(name) (\(new))", .heading)]
                + changes.map { $0.shown(style) }
        }
    }

    /// The documents as the agent will read them, by the same code.
    private static func written(
        in request: ApplyRequest
    ) throws -> [ResourceName: (document: JSONValue, source: String)] {
        var options = TrammelConfig.DecodingOptions(namespace: request.namespace)
        options.warnUnknown = request.warnUnknown
        options.skipUnimplemented = request.skipUnimplemented
        let batch: DecodedBatch
        do {
            batch = try ResourceDecoder.decode(
                request.documents.map { ($0.path, Array($0.text.utf8)) }, options: options)
        } catch let errors {
            throw CommandFailure(errors)
        }
        var found: [ResourceName: (JSONValue, String)] = [:]
        for resource in batch.resources {
            let key = ResourceName(
                kind: resource.key.kind.rawValue, namespace: resource.key.namespace, name: resource.key.name)
            let document = try ControlJSON.decode(JSONValue.self, from: Array(resource.rendered().json().utf8))
            found[key] = (document, resource.location.description)
        }
        return found
    }

    /// Without what the agent keeps of its own: the version, and the place that the document came from.
    private static func text(of document: JSONValue) throws -> String {
        guard case .object(var members) = document, case .object(var metadata) = members["metadata"] else {
            return try YAMLText.of(document)
        }
        metadata["resourceVersion"] = nil
        if case .object(var annotations) = metadata["annotations"] {
            annotations["trammel.dev/source"] = nil
            metadata["annotations"] = annotations.isEmpty ? nil : .object(annotations)
        }
        members["metadata"] = .object(metadata)
        return try YAMLText.of(.object(members))
    }
}
