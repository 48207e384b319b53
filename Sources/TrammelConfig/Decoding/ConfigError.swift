/// One thing that is wrong, or worth knowing, about a file that somebody wrote.
///
/// It names the place (file, line, column), the resource and the field, says what was found and what is allowed, and
/// where a name is close to an existing one, which. `code` is for tests, metrics and problem documents.
package struct ConfigError: Error, Hashable, Sendable {
    package enum Severity: String, Sendable { case error, warning }

    /// What kind of mistake it is: a short list, fit for a metric's label.
    package enum Code: String, Sendable, CaseIterable {
        /// Not YAML or JSON, or not UTF-8.
        case syntax
        /// Larger, deeper or more self-referring than a configuration is allowed to be.
        case tooLarge = "too-large"
        case unknownField = "unknown-field"
        case unknownKind = "unknown-kind"
        /// Known by name and not built yet.
        case unimplemented
        case missing
        case wrongType = "wrong-type"
        case badValue = "bad-value"
        /// Two fields that exclude each other.
        case conflict
        /// The same thing declared twice.
        case duplicate
        /// Belongs to another origin: the configuration directory, or the API.
        case owned
        /// A file that cannot be read.
        case unreadable
        /// Names something that does not exist.
        case dangling
        /// Still honoured, with a better way to say it.
        case deprecated
        /// Understood, and without effect here.
        case ignored
    }

    package var severity: Severity
    package let code: Code
    /// `VirtualService`, where the document said so much.
    package let kind: String?
    package let namespace: String?
    package let name: String?
    /// `spec.http[0].match[1].uri`; nil where the document as a whole is meant.
    package let field: String?
    package let location: SourceLocation
    /// What was found and what was expected.
    package let message: String
    /// What to do next: the nearest name, the form to write.
    package let hint: String?

    package init(
        _ code: Code, severity: Severity = .error, kind: String? = nil, namespace: String? = nil,
        name: String? = nil, field: String? = nil, location: SourceLocation, _ message: String, hint: String? = nil
    ) {
        self.severity = severity
        self.code = code
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.field = field
        self.location = location
        self.message = message
        self.hint = hint
    }
}

extension ConfigError: CustomStringConvertible {
    /// `canary.yaml:12:7: VirtualService default/reviews: spec.http[0]: …; …`: one line, in the form of compilers.
    package var description: String {
        var text = "\(location.file):\(location.line):\(location.column): "
        if severity == .warning { text += "warning: " }
        if let kind {
            text += kind
            if let name { text += " \(namespace.map { "\($0)/" } ?? "")\(name)" }
            text += ": "
        }
        if let field, !field.isEmpty { text += "\(field): " }
        text += message
        if let hint { text += "; \(hint)" }
        return text
    }
}

/// Why a whole batch was refused: every error found in it, up to the bound of `DecodingOptions.maxErrors`.
package struct ConfigErrors: Error, Sendable, Equatable {
    package let errors: [ConfigError]
    /// More was wrong than is listed.
    package let truncated: Bool
    package let warnings: [ConfigError]

    package init(errors: [ConfigError], truncated: Bool = false, warnings: [ConfigError] = []) {
        self.errors = errors
        self.truncated = truncated
        self.warnings = warnings
    }
}

extension ConfigErrors: CustomStringConvertible {
    /// One error a line.
    package var description: String {
        var lines = errors.map(\.description)
        if truncated { lines.append("and more: only the first \(errors.count) errors are listed") }
        return lines.joined(separator: "\n")
    }
}
