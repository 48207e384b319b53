import TrammelConfig
import TrammelControlAPI
import TrammelCore
import TrammelPolicy

/// One resource written alone, on the condition that it is as its writer has seen it.
extension Mesh {
    func put(_ request: PutRequest) async throws -> ResourceResult {
        try await changes.run { try await self.putNow(request) }
    }

    private func putNow(_ request: PutRequest) async throws -> ResourceResult {
        var options = DecodingOptions(checkRegex: RegularExpression.problem)
        options.warnUnknown = request.warnUnknown
        let bytes = Array(request.document.text.utf8)
        let batch = try ResourceDecoder.decode([(file: request.document.path, bytes: bytes)], options: options)
        guard let resource = batch.resources.first, batch.resources.count == 1 else {
            throw TrammelError(
                .invalid, code: "one-resource", "a PUT takes one resource, the body has \(batch.resources.count)",
                hint: "send several to POST /v1/apply")
        }
        let key = resource.key
        let found = ResourceName(kind: key.kind.rawValue, namespace: key.namespace, name: key.name)
        guard found == request.resource else {
            throw TrammelError(
                .invalid, code: "other-resource", "the body is \(found), the path names \(request.resource)",
                hint: "make kind, metadata.namespace and metadata.name agree with the path")
        }
        let current = set.entries[key]
        try request.condition.check(key, current)
        if let seen = try Self.version(in: bytes) { try Self.check(key, current, isAt: seen) }
        let applied = try set.applying(batch, ApplyOptions(strict: request.strict))
        let warnings = try await settle(applied, dryRun: request.dryRun)
        guard let change = applied.changes.first else {
            throw TrammelError(.internal, code: "put-without-change", "\(key) was judged and nothing came of it")
        }
        var result = ResourceResult(change)
        result.warnings = warnings
        result.resourceVersion = applied.set.entries[key].map { String($0.version) }
        return result
    }

    /// The `metadata.resourceVersion` that the writer has read, which decoding forgets.
    private static func version(in bytes: [UInt8]) throws -> UInt64? {
        guard case .success(let document)? = DocumentReader.read(bytes, file: "api").first,
            case .scalar(let scalar)? = document.root["metadata"]?["resourceVersion"]?.value,
            scalar.type != .null, !scalar.text.isEmpty
        else { return nil }
        guard let version = UInt64(scalar.text) else {
            throw TrammelError(
                .invalid, code: "resource-version",
                "metadata.resourceVersion \"\(scalar.text)\" is no version of this agent's",
                hint: "leave it out to replace whatever is there")
        }
        return version
    }

    private static func check(_ key: ResourceKey, _ current: ResourceSet.Entry?, isAt version: UInt64) throws {
        guard current?.version != version else { return }
        throw Problem.moved(409, key, current, "metadata.resourceVersion is \(version)")
    }
}

extension WriteCondition {
    /// - Throws: a `Problem` of status 412 (RFC 9110 section 13.1) where the resource is not as the writer thinks.
    func check(_ key: ResourceKey, _ current: ResourceSet.Entry?) throws {
        let isMet =
            switch self {
            case .always: true
            case .absent: current == nil
            case .present: current != nil
            case .version(let version): current?.version == version
            }
        guard !isMet else { return }
        let wanted = fields.map { "\($0.name): \($0.value)" }.joined()
        throw Problem.moved(412, key, current, "the condition is \(wanted)")
    }
}

extension Problem {
    /// A resource is not as its writer has seen it.
    fileprivate static func moved(
        _ status: Int, _ key: ResourceKey, _ current: ResourceSet.Entry?, _ condition: String
    ) -> Problem {
        let place = current.map { "is at version \($0.version)" } ?? "does not exist"
        var problem = Problem(
            status: status, code: "resource-version", title: status == 409 ? "Conflict" : "Precondition failed",
            detail: "\(key) \(place), and \(condition)",
            hint: "read it again, make your change to what is there now, and send that")
        problem.kind = key.kind.rawValue
        problem.namespace = key.namespace
        problem.name = key.name
        return problem
    }
}
