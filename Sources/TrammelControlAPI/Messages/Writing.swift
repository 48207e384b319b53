import TrammelCore

/// What names one resource: the kind's own name, its namespace, its name.
package struct ResourceName: Hashable, Sendable, CustomStringConvertible {
    package var kind: String
    package var namespace: String
    package var name: String

    package init(kind: String, namespace: String, name: String) {
        self.kind = kind
        self.namespace = namespace
        self.name = name
    }

    /// `VirtualService default/reviews`.
    package var description: String { "\(kind) \(namespace)/\(name)" }
}

/// On what condition a write happens, so that of two writers who have read the same the second learns of the first
/// (RFC 9110 section 13.1).
package enum WriteCondition: Hashable, Sendable {
    /// None.
    case always
    /// It does not exist: `If-None-Match: *`.
    case absent
    /// It exists: `If-Match: *`.
    case present
    /// It is at this version: `If-Match: "17"`.
    case version(UInt64)

    /// The fields of a request that has it.
    package var fields: [(name: String, value: String)] {
        switch self {
        case .always: []
        case .absent: [("if-none-match", "*")]
        case .present: [("if-match", "*")]
        case .version(let version): [("if-match", "\"\(version)\"")]
        }
    }

    /// By the fields of a request.
    /// - Throws: `TrammelError` of kind `invalid` for whatever is no version that an agent has given out.
    package init(ifMatch: String?, ifNoneMatch: String?) throws {
        switch (ifMatch, ifNoneMatch) {
        case (nil, nil): self = .always
        case (nil, "*"): self = .absent
        case ("*", nil): self = .present
        case (let tag?, nil):
            guard tag.count > 2, tag.hasPrefix("\""), tag.hasSuffix("\""),
                let version = UInt64(tag.dropFirst().dropLast())
            else {
                throw TrammelError(
                    .invalid, code: "bad-condition", "If-Match: \(tag) is not a resource's version",
                    hint: "send the ETag of an earlier answer, which is metadata.resourceVersion in double quotes, or *"
                )
            }
            self = .version(version)
        default:
            throw TrammelError(
                .invalid, code: "bad-condition", "If-None-Match goes alone, and with * only",
                hint: "send If-None-Match: * to create, or If-Match with the version to replace")
        }
    }
}

/// `PUT /v1/resources/{kind}/{namespace}/{name}`.
package struct PutRequest: Hashable, Sendable {
    package var resource: ResourceName
    /// One document, YAML or JSON, which has to be the resource; its `metadata.resourceVersion`, where it has one, is a
    /// condition too.
    package var document: ApplyRequest.Document
    package var condition: WriteCondition
    package var dryRun: Bool
    package var strict: Bool
    package var warnUnknown: Bool

    package init(
        resource: ResourceName, document: ApplyRequest.Document, condition: WriteCondition = .always,
        dryRun: Bool = false, strict: Bool = false, warnUnknown: Bool = false
    ) {
        self.resource = resource
        self.document = document
        self.condition = condition
        self.dryRun = dryRun
        self.strict = strict
        self.warnUnknown = warnUnknown
    }
}
