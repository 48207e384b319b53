import TrammelCore

/// A condition and what it was held against, in words: `header end-user is "mary", wanted exactly "jason"`.
struct ConditionText {
    let program: RouteProgram
    let request: RequestView
    let source: Source
    let port: UInt16

    func text(_ index: Int, holds: Bool) -> String {
        let condition = program.conditions[index]
        let found = found(condition)
        let wanted = wanted(condition)
        let state = found.map { "is \($0)" } ?? "is missing"
        let isPlain = condition.test == .exact && !condition.isInverted
        if holds { return "\(subject(condition)) \(state)" + (isPlain ? "" : " (\(wanted))") }
        return "\(subject(condition)) \(state), wanted \(wanted)"
    }

    private func operand(_ condition: RouteProgram.Condition) -> String {
        "\"\(String(decoding: program.arena[condition.operand], as: UTF8.self))\""
    }

    private func name(_ condition: RouteProgram.Condition) -> String {
        String(decoding: program.arena[condition.name], as: UTF8.self)
    }

    private func subject(_ condition: RouteProgram.Condition) -> String {
        switch condition.subject {
        case .path: "path"
        case .scheme: "scheme"
        case .method: "method"
        case .authority: "authority"
        case .header: "header \(name(condition))"
        case .query: "query parameter \(name(condition))"
        case .port: "port"
        case .sourceNamespace: "the caller's namespace"
        case .sourceLabel: "the caller's label \(name(condition))"
        case .gateway: "gateway"
        }
    }

    private func wanted(_ condition: RouteProgram.Condition) -> String {
        if condition.subject == .port { return "\(condition.port)" }
        if condition.subject == .gateway { return "one of \(operand(condition))" }
        let test =
            switch condition.test {
            case .exact: "exactly \(operand(condition))"
            case .prefix: "prefix \(operand(condition))"
            case .regex: "regex \(operand(condition))"
            case .presence: "any value"
            }
        return (condition.isInverted ? "not " : "") + test + (condition.ignoresCase ? " in any case" : "")
    }

    /// What the request has, quoted; nil where it has none.
    private func found(_ condition: RouteProgram.Condition) -> String? {
        switch condition.subject {
        case .path: quoted(request.path)
        case .scheme: "\"\(request.scheme.text)\""
        case .method: quoted(request.method)
        case .authority: request.authority.isEmpty ? nil : quoted(request.authority)
        case .port: "\(port)"
        case .sourceNamespace: "\"\(source.identity.name.namespace)\""
        case .sourceLabel: source.identity.labels[name(condition)].map { "\"\($0)\"" }
        case .gateway: "\"mesh\""
        case .header: header(name(condition))
        case .query: query(name(condition))
        }
    }

    private func quoted(_ range: ByteRange) -> String { "\"\(request.text(range))\"" }

    private func header(_ name: String) -> String? {
        let values = request.fields.filter { request.text($0.name).lowercased() == name }.map { request.text($0.value) }
        return values.isEmpty ? nil : "\"\(values.joined(separator: ","))\""
    }

    private func query(_ name: String) -> String? {
        for parameter in request.text(request.query).split(separator: "&") {
            let parts = parameter.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts[0] == name { return "\"\(parts.count > 1 ? parts[1] : "")\"" }
        }
        return nil
    }
}
