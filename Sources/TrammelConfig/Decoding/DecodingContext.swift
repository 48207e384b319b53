/// Gathers what is wrong while one document is decoded. Decoding goes on after an error, so that people see all of
/// them at once; what it yields is used only when there was none.
final class DecodingContext {
    let options: DecodingOptions
    let file: String
    /// Filled in as the document's identity becomes known, for the messages.
    var kind: String?
    var namespace: String?
    var name: String?
    private(set) var errors: [ConfigError] = []
    private(set) var warnings: [ConfigError] = []

    init(options: DecodingOptions, file: String) {
        self.options = options
        self.file = file
    }

    func location(_ position: ConfigNode.Position) -> SourceLocation {
        SourceLocation(file: file, line: Int(position.line), column: Int(position.column))
    }

    func error(
        _ code: ConfigError.Code, at position: ConfigNode.Position, field: String? = nil, _ message: String,
        hint: String? = nil
    ) {
        guard errors.count <= options.maxErrors else { return }
        errors.append(issue(code, .error, position, field, message, hint))
    }

    func warning(
        _ code: ConfigError.Code, at position: ConfigNode.Position, field: String? = nil, _ message: String,
        hint: String? = nil
    ) {
        guard warnings.count <= options.maxErrors else { return }
        warnings.append(issue(code, .warning, position, field, message, hint))
    }

    /// Turns the errors from `start` on into warnings: the document is skipped, not wrong.
    func forgiveErrors(from start: Int) {
        for error in errors[start...] {
            warnings.append(
                ConfigError(
                    error.code, severity: .warning, kind: error.kind, namespace: error.namespace, name: error.name,
                    field: error.field, location: error.location, "skipped: \(error.message)"))
        }
        errors.removeSubrange(start...)
    }

    private func issue(
        _ code: ConfigError.Code, _ severity: ConfigError.Severity, _ position: ConfigNode.Position, _ field: String?,
        _ message: String, _ hint: String?
    ) -> ConfigError {
        ConfigError(
            code, severity: severity, kind: kind, namespace: namespace, name: name, field: field,
            location: location(position), message, hint: hint)
    }
}
