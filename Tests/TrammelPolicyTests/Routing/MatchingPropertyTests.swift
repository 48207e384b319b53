import Testing
import TrammelConfig
import TrammelCore
import TrammelTestSupport

@testable import TrammelPolicy

/// The meaning of a match written down a second time, over strings and as plainly as can be, for the compiled form to
/// be held against.
private struct PlainRequest {
    var method = "GET"
    var path = "/"
    var query: [(String, String)] = []
    var headers: [(String, String)] = []

    var text: String {
        let parameters = query.map { "\($0.0)=\($0.1)" }.joined(separator: "&")
        let lines = headers.map { "\($0.0): \($0.1)" }.joined(separator: "\n")
        return "\(method) \(path)\(query.isEmpty ? "" : "?")\(parameters)\nhost: a\n\(lines)"
    }

    func satisfies(_ match: HTTPMatch) -> Bool {
        func passes(_ test: StringMatch, _ text: String, ignoringCase: Bool = false) -> Bool {
            func folded(_ text: String) -> String { ignoringCase ? text.lowercased() : text }
            switch test {
            case .exact(let wanted): return folded(text) == folded(wanted)
            case .prefix(let wanted): return folded(text).hasPrefix(folded(wanted)) || wanted.isEmpty
            case .presence: return true
            // The generator writes one form only: `x.*`.
            case .regex(let wanted): return text.hasPrefix(wanted.dropLast(2))
            }
        }
        func header(_ name: String) -> String? {
            let values = headers.filter { $0.0.lowercased() == name }.map(\.1)
            return values.isEmpty ? nil : values.joined(separator: ",")
        }
        if let uri = match.uri, !passes(uri, path, ignoringCase: match.ignoreURICase) { return false }
        if let wanted = match.method, !passes(wanted, method) { return false }
        for (name, test) in match.headers {
            guard let value = header(name), passes(test, value) else { return false }
        }
        for (name, test) in match.withoutHeaders {
            if test == .presence ? header(name) != nil : passes(test, header(name) ?? "") { return false }
        }
        for (name, test) in match.queryParams {
            guard let value = query.first(where: { $0.0 == name })?.1, passes(test, value) else { return false }
        }
        return true
    }
}

@Suite("Compiled conditions mean what they say")
struct MatchingPropertyTests {
    private var random = SplitMix(seed: 2026)
    private static let words = ["", "a", "ab", "abc", "b", "A", "x-y"]
    private static let names = ["end-user", "cookie", "x", "user-agent"]

    private mutating func word() -> String { MatchingPropertyTests.words.randomElement(using: &random) ?? "" }
    private mutating func name() -> String { MatchingPropertyTests.names.randomElement(using: &random) ?? "x" }
    private mutating func chance(_ oneIn: Int) -> Bool { Int.random(in: 0..<oneIn, using: &random) == 0 }

    private mutating func test(prefix: String = "") -> StringMatch {
        let word = prefix + word()
        switch Int.random(in: 0..<4, using: &random) {
        case 0: return .exact(word)
        case 1: return .prefix(word)
        case 2: return .regex(word + ".*")
        default: return .presence
        }
    }

    private mutating func match() -> HTTPMatch {
        var match = HTTPMatch(location: SourceLocation(file: "x", line: 1))
        if chance(2) { match.uri = test(prefix: "/") }
        match.ignoreURICase = chance(2)
        if chance(4) { match.method = .exact(chance(2) ? "GET" : "POST") }
        if chance(2) { match.headers = [(name(), test())] }
        if chance(3) { match.withoutHeaders = [(name(), test())] }
        if chance(3) { match.queryParams = [(name(), test())] }
        return match
    }

    private mutating func request() -> PlainRequest {
        var request = PlainRequest()
        request.method = chance(2) ? "GET" : "POST"
        request.path = "/" + word()
        while chance(2) { request.query.append((name(), word())) }
        while !chance(3) {
            let name = name()
            request.headers.append((chance(2) ? name.uppercased() : name, word()))
        }
        return request
    }

    @Test("random routes and requests: the first rule with an alternative that holds decides")
    mutating func firstRuleWins() {
        var decided: [String: Int] = [:]
        for _ in 0..<120 {
            let rules = (0..<3).map { _ in (0..<Int.random(in: 1...2, using: &random)).map { _ in match() } }
            let routes = rules.enumerated().map { index, matches in
                var route = HTTPRoute.respond(UInt16(200 + index))
                route.match = matches
                return route
            }
            let mesh = Fixture().service("a").virtualService("a", routes[0], routes[1], routes[2]).mesh()
            for _ in 0..<25 {
                let request = request()
                let expected = rules.firstIndex { $0.contains { request.satisfies($0) } }.map { "\(200 + $0) -" }
                let summary = mesh.decide(RequestText(request.text), to: "a:9080").summary
                #expect(summary == expected ?? "404 NR", "\(request.text)\n\(rules)")
                decided[summary, default: 0] += 1
            }
        }
        // Every outcome has been tried, and none is all there was.
        #expect(decided.count == 4 && decided.values.allSatisfy { $0 > 100 }, "\(decided)")
    }
}
