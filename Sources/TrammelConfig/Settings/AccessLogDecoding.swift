import TrammelCore

/// Says what is wrong with a piece of the access log's layout; nil for nothing.
package typealias LogLayoutCheck = (LogLayoutPiece) -> LogLayoutProblem?

package enum LogLayoutPiece: Sendable {
    /// Text with command operators: a whole line, or a value of a JSON object.
    case pattern(String)
    /// The keys of the JSON object that are wanted.
    case fields([String])
}

package struct LogLayoutProblem: Sendable {
    package let message: String
    package let hint: String?
    /// A name that nobody knows, and those that there are.
    package let unknown: String?
    package let known: [String]

    package init(message: String, hint: String?, unknown: String?, known: [String]) {
        self.message = message
        self.hint = hint
        self.unknown = unknown
        self.known = known
    }
}

extension AgentSettings.AccessLog {
    private static let keys = FieldSet(["path", "format", "fields"])

    mutating func read(_ field: Field, _ check: LogLayoutCheck) {
        guard let object = field.object(Self.keys) else { return }
        if let field = object["path"] {
            if let text = field.node.string, text == "-" || text == "none" {
                path = text
            } else {
                path = field.absolutePath()
            }
        }
        if let field = object["format"] { readFormat(field, check) }
        if let field = object["fields"] { readFields(field, check) }
    }

    private mutating func readFormat(_ field: Field, _ check: LogLayoutCheck) {
        if case .mapping = field.node.value {
            format = .object(Self.members(field, check))
            return
        }
        guard let text = field.string() else { return }
        switch text {
        case "json": format = .json
        case "text": format = .text
        case _ where text.contains("%"):
            format = .pattern(text)
            if text.first == "{" {
                field.error(
                    .badValue, "found JSON as text; expected an object", hint: "leave out the quotes around the braces")
            } else {
                Self.report(check(.pattern(text)), field)
            }
        default:
            field.error(
                .badValue, "found \(field.found); expected json, text, a line with %COMMAND%s, or an object of them",
                hint: NearestName.hint(for: text, among: ["json", "text"]))
        }
    }

    private static func members(_ field: Field, _ check: LogLayoutCheck) -> [Member] {
        let entries = field.map() ?? []
        if entries.isEmpty { field.error(.badValue, "found an empty object; expected keys with %COMMAND%s") }
        return entries.map { Member(key: $0.key, value: value($0.value, check)) }
    }

    private static func value(_ field: Field, _ check: LogLayoutCheck) -> Value {
        switch field.node.value {
        case .mapping: return .object(members(field, check))
        case .sequence:
            return .list((field.list() ?? []).map { value($0, check) })
        case .scalar(let scalar):
            switch scalar.type {
            case .null: return .json("null")
            case .bool: return .json(scalar.boolValue == true ? "true" : "false")
            case .integer: if let number = Int64(scalar.text) { return .json("\(number)") }
            case .oldBool, .float, .string: break
            }
            report(check(.pattern(scalar.text)), field)
            return .pattern(scalar.text)
        }
    }

    private mutating func readFields(_ field: Field, _ check: LogLayoutCheck) {
        guard let names = field.strings() else { return }
        fields = names
        if format != .json {
            field.error(.conflict, "fields choose among the keys of format json", hint: "leave out format, or fields")
            return
        }
        Self.report(check(.fields(names)), field)
    }

    private static func report(_ problem: LogLayoutProblem?, _ field: Field) {
        guard let problem else { return }
        let nearest = problem.unknown.flatMap { NearestName.hint(for: $0, among: problem.known) }
        field.error(.badValue, problem.message, hint: nearest ?? problem.hint)
    }
}
