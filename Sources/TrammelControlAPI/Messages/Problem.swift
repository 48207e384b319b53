package import TrammelCore

/// An error as the API answers it: RFC 9457 `application/problem+json`.
///
/// `kind`, `namespace`, `name`, `field`, `file`, `line` and `column` say which resource is at fault, where that is known. An
/// apply may be refused for several reasons at once: all of them stand in `errors`, the first of them in the problem
/// itself.
package struct Problem: Error, Codable, Hashable, Sendable {
    /// `urn:trammel:problem:` and the code of the error: stable, for programs.
    package var type: String
    /// What sort of failure this is, in a few words: the same for every problem of a status.
    package var title: String
    /// The HTTP status.
    package var status: Int
    /// What was found, and what was expected.
    package var detail: String
    /// What to do next.
    package var hint: String?
    package var kind: String?
    package var namespace: String?
    package var name: String?
    package var field: String?
    package var file: String?
    /// From 1.
    package var line: Int?
    /// From 1.
    package var column: Int?
    package var errors: [Item]?

    /// One of several faults in what was applied.
    package struct Item: Codable, Hashable, Sendable {
        package var detail: String
        package var hint: String?
        package var kind: String?
        package var namespace: String?
        package var name: String?
        package var field: String?
        package var file: String?
        package var line: Int?
        package var column: Int?

        package init(
            detail: String, hint: String? = nil, kind: String? = nil, namespace: String? = nil, name: String? = nil,
            field: String? = nil, file: String? = nil, line: Int? = nil, column: Int? = nil
        ) {
            self.detail = detail
            self.hint = hint
            self.kind = kind
            self.namespace = namespace
            self.name = name
            self.field = field
            self.file = file
            self.line = line
            self.column = column
        }
    }

    package init(status: Int, code: String, title: String, detail: String, hint: String? = nil) {
        self.type = Problem.typePrefix + code
        self.title = title
        self.status = status
        self.detail = detail
        self.hint = hint
    }

    package init(_ error: TrammelError) {
        self.init(
            status: error.kind.httpStatus, code: error.code, title: error.kind.title, detail: error.message,
            hint: error.hint)
    }

    /// The faults of one refused apply; `items` must not be empty.
    package init(code: String, items: [Item]) {
        self.init(
            status: TrammelError.Kind.invalid.httpStatus, code: code, title: TrammelError.Kind.invalid.title,
            detail: items.first?.detail ?? "the configuration is not valid", hint: items.first?.hint)
        kind = items.first?.kind
        namespace = items.first?.namespace
        name = items.first?.name
        field = items.first?.field
        file = items.first?.file
        line = items.first?.line
        column = items.first?.column
        errors = items.count > 1 ? items : nil
    }

    /// The stable token at the end of `type`.
    package var code: String {
        type.hasPrefix(Problem.typePrefix) ? String(type.dropFirst(Problem.typePrefix.count)) : type
    }

    /// Every fault: `errors`, or this problem as the only one.
    package var items: [Item] {
        errors ?? [
            Item(
                detail: detail, hint: hint, kind: kind, namespace: namespace, name: name, field: field, file: file,
                line: line, column: column)
        ]
    }

    package static let mediaType = "application/problem+json"
    private static let typePrefix = "urn:trammel:problem:"
}

extension Problem.Item: CustomStringConvertible {
    /// One line in the form of compilers: `canary.yaml:12:7: VirtualService default/reviews: spec.http[0]: …; …`.
    package var description: String {
        var text = ""
        if let file {
            text += ([file] + [line, column].compactMap { $0.map(String.init) }).joined(separator: ":") + ": "
        }
        if let kind, let name { text += "\(kind) \(namespace.map { "\($0)/" } ?? "")\(name): " }
        if let field, !field.isEmpty { text += "\(field): " }
        text += detail
        if let hint { text += "; \(hint)" }
        return text
    }
}

extension TrammelError.Kind {
    /// The status of a problem document of this kind.
    package var httpStatus: Int {
        switch self {
        case .invalid: 400
        case .forbidden: 403
        case .notFound: 404
        case .conflict: 409
        case .exhausted, .unavailable: 503
        case .unimplemented: 501
        case .internal: 500
        case .storage: 507
        }
    }

    package var title: String {
        switch self {
        case .invalid: "Invalid request"
        case .forbidden: "Not allowed"
        case .notFound: "Not found"
        case .conflict: "Conflict"
        case .exhausted: "Limit reached"
        case .unavailable: "Unavailable"
        case .unimplemented: "Not built yet"
        case .internal: "Internal error"
        case .storage: "Cannot be stored"
        }
    }
}
