import TrammelConfig
import TrammelControlAPI
import TrammelCore

extension Problem.Item {
    init(_ error: ConfigError) {
        self.init(
            detail: error.message, hint: error.hint, kind: error.kind, namespace: error.namespace, name: error.name,
            field: error.field, file: error.location.file, line: error.location.line, column: error.location.column)
    }
}

extension Problem {
    /// The problem document of a configuration that was refused.
    init(_ errors: ConfigErrors) {
        var items = errors.errors.map(Item.init)
        if errors.truncated {
            items.append(
                Item(
                    detail: "more is wrong than these \(items.count) faults",
                    hint: "mend them and try again to see the rest"))
        }
        self.init(code: "invalid-configuration", items: items)
        // Nothing is wrong with what was sent; what is there stands against it.
        if errors.errors.allSatisfy({ $0.code == .owned }) {
            status = TrammelError.Kind.conflict.httpStatus
            title = TrammelError.Kind.conflict.title
        }
        // What is merely not built yet is not the writer's mistake.
        if let first = errors.errors.first, errors.errors.allSatisfy({ $0.code == .unimplemented }) {
            status = 501
            title = "Not built yet"
            detail = first.message
        }
    }
}
