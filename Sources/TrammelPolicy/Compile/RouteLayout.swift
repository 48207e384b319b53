import TrammelConfig
import TrammelCore

/// The plain form of a route table while it is being built.
struct RouteLayout {
    var alternativesOfRoutes: [RouteProgram.Span] = []
    var alternatives: [RouteProgram.Alternative] = []
    var conditions: [RouteProgram.Condition] = []
    var arena: [UInt8] = []
    var expressions: [RegularExpression] = []

    /// Appends one route's alternatives.
    /// - Parameter warn: is told of what can never match or is not looked at.
    mutating func append(_ matches: [HTTPMatch], warn: (SourceLocation, String) -> Void) {
        let first = alternatives.count
        for match in matches { append(match, warn: warn) }
        alternativesOfRoutes.append(RouteProgram.Span(first, upTo: alternatives.count))
    }

    private mutating func append(_ match: HTTPMatch, warn: (SourceLocation, String) -> Void) {
        typealias Condition = RouteProgram.Condition
        let first = conditions.count
        func warned(_ problem: String) { warn(match.location, problem) }
        if let uri = match.uri {
            append(Condition(subject: .path), uri, ignoringCase: match.ignoreURICase, warned)
        }
        if let scheme = match.scheme { append(Condition(subject: .scheme), scheme, warned) }
        if let method = match.method { append(Condition(subject: .method), method, warned) }
        if let authority = match.authority { append(Condition(subject: .authority), authority, warned) }
        for (name, test) in match.headers { append(header: name, test, inverted: false, warned) }
        for (name, test) in match.withoutHeaders { append(header: name, test, inverted: true, warned) }
        for (name, test) in match.queryParams {
            var condition = Condition(subject: .query)
            condition.name = intern(name)
            append(condition, test, warned)
        }
        if let port = match.port {
            var condition = Condition(subject: .port)
            condition.port = port
            conditions.append(condition)
        }
        if let namespace = match.sourceNamespace {
            append(Condition(subject: .sourceNamespace), .exact(namespace), warned)
        }
        for (name, value) in match.sourceLabels.sorted(by: { $0.key < $1.key }) {
            var condition = Condition(subject: .sourceLabel)
            condition.name = intern(name)
            append(condition, .exact(value), warned)
        }
        if !match.gateways.isEmpty, !match.gateways.contains("mesh") {
            var condition = Condition(subject: .gateway)
            condition.operand = intern(match.gateways.joined(separator: ", "))
            conditions.append(condition)
        }
        alternatives.append(
            RouteProgram.Alternative(
                conditions: RouteProgram.Span(first, upTo: conditions.count),
                line: match.location.line))
    }

    /// Istio takes the four names for a mistake of somebody who meant the fields of the same names, and passes them
    /// over.
    private static let ignoredHeaders: Set<String> = ["uri", "scheme", "method", "authority"]

    private mutating func append(header name: String, _ test: StringMatch, inverted: Bool, _ warn: (String) -> Void) {
        guard !RouteLayout.ignoredHeaders.contains(name) else {
            warn("a header match on \"\(name)\" is not looked at; \(name) has a field of its own in the match")
            return
        }
        var condition = RouteProgram.Condition(subject: .header)
        condition.isInverted = inverted
        switch name {
        // One and the same to a request, whichever version of HTTP it came by.
        case "host", ":authority": condition.subject = .authority
        case ":method": condition.subject = .method
        case ":scheme": condition.subject = .scheme
        default:
            if name.hasPrefix(":") { warn("no request has a header \"\(name)\"; a path is matched by uri") }
            condition.name = intern(name)
            condition.known = arena.withUnsafeBytes { FieldName.recognise($0[condition.name]) }
        }
        append(condition, test, warn)
    }

    private mutating func append(
        _ blank: RouteProgram.Condition, _ test: StringMatch, ignoringCase: Bool = false, _ warn: (String) -> Void
    ) {
        var condition = blank
        switch test {
        case .exact(let text):
            condition.test = .exact
            condition.ignoresCase = ignoringCase
            condition.operand = intern(ignoringCase ? text.lowercased() : text)
        case .prefix(let text):
            condition.test = .prefix
            condition.ignoresCase = ignoringCase
            condition.operand = intern(ignoringCase ? text.lowercased() : text)
        case .presence:
            condition.test = .presence
        case .regex(let pattern):
            condition.test = .regex
            condition.operand = intern(pattern)
            do throws(RegularExpression.PatternError) {
                let expression = try RegularExpression(pattern)
                condition.regex = expression.handle
                expressions.append(expression)
            } catch {
                // Decoding has refused it; should one come by another way, it matches nothing.
                warn("the expression \"\(pattern)\" never matches: \(error.reason)")
            }
        }
        conditions.append(condition)
    }

    private mutating func intern(_ text: String) -> ByteRange {
        let start = arena.count
        arena += text.utf8
        return ByteRange(start, upTo: arena.count)
    }
}
