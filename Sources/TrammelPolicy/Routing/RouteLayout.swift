import TrammelConfig
import TrammelCore

/// The plain form of a route table while it is being built.
struct RouteLayout {
    var alternativesOfRoutes: [RouteTable.Span] = []
    var alternatives: [RouteTable.Alternative] = []
    var conditions: [RouteTable.Condition] = []
    var arena: [UInt8] = []
    var expressions: [RegularExpression] = []

    /// Appends one route's alternatives.
    /// - Parameter warn: is told of what can never match or is not looked at.
    mutating func append(_ matches: [HTTPMatch], warn: (SourceLocation, String) -> Void) {
        let first = alternatives.count
        for match in matches { append(match, warn: warn) }
        alternativesOfRoutes.append(span(first, alternatives.count))
    }

    private mutating func append(_ match: HTTPMatch, warn: (SourceLocation, String) -> Void) {
        typealias Condition = RouteTable.Condition
        let first = conditions.count
        func warned(_ problem: String) { warn(match.location, problem) }
        if let uri = match.uri {
            append(Condition(subject: .path, test: .exact), uri, ignoringCase: match.ignoreURICase, warned)
        }
        if let scheme = match.scheme { append(Condition(subject: .scheme, test: .exact), scheme, warned) }
        if let method = match.method { append(Condition(subject: .method, test: .exact), method, warned) }
        if let authority = match.authority { append(Condition(subject: .authority, test: .exact), authority, warned) }
        for (name, test) in match.headers { append(header: name, test, inverted: false, warned) }
        for (name, test) in match.withoutHeaders { append(header: name, test, inverted: true, warned) }
        for (name, test) in match.queryParams {
            var condition = Condition(subject: .query, test: .exact)
            condition.name = intern(name)
            append(condition, test, warned)
        }
        if let port = match.port {
            var condition = Condition(subject: .port, test: .exact)
            condition.port = port
            conditions.append(condition)
        }
        if let namespace = match.sourceNamespace {
            append(Condition(subject: .sourceNamespace, test: .exact), .exact(namespace), warned)
        }
        for (name, value) in match.sourceLabels.sorted(by: { $0.key < $1.key }) {
            var condition = Condition(subject: .sourceLabel, test: .exact)
            condition.name = intern(name)
            append(condition, .exact(value), warned)
        }
        alternatives.append(
            RouteTable.Alternative(
                conditions: span(first, conditions.count), line: UInt32(truncatingIfNeeded: match.location.line)))
    }

    /// Istio takes the four names for a mistake of somebody who meant the fields of the same names, and passes them
    /// over.
    private static let ignoredHeaders: Set<String> = ["uri", "scheme", "method", "authority"]

    private mutating func append(header name: String, _ test: StringMatch, inverted: Bool, _ warn: (String) -> Void) {
        guard !RouteLayout.ignoredHeaders.contains(name) else {
            warn("a header match on \"\(name)\" is not looked at; \(name) has a field of its own in the match")
            return
        }
        var condition = RouteTable.Condition(subject: .header, test: .exact)
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
        _ blank: RouteTable.Condition, _ test: StringMatch, ignoringCase: Bool = false, _ warn: (String) -> Void
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

    private func span(_ first: Int, _ end: Int) -> RouteTable.Span {
        RouteTable.Span(first: UInt32(truncatingIfNeeded: first), count: UInt32(truncatingIfNeeded: end - first))
    }
}
