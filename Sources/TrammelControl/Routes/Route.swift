import TrammelConfig
import TrammelControlAPI
import TrammelCore

/// One row of the API: a method, a path with `{parameters}`, who may call it, what its query may hold, and what it does.
struct Route: Sendable {
    let method: String
    let path: String
    let access: AccessLevel
    /// What the query may have; anything else is refused.
    let query: [QueryParameter]
    /// The most bytes that the body may have; nil for a route that takes none.
    let bodyLimit: Int?
    let operation: Operation
    let handle: @Sendable (RouteCall) async throws -> Reply

    private let segments: [Segment]

    private enum Segment: Sendable {
        case literal(String)
        case parameter(String)
    }

    init(
        _ method: String, _ path: String, _ access: AccessLevel, _ operation: Operation,
        query: [QueryParameter] = [], bodyLimit: Int? = nil,
        _ handle: @escaping @Sendable (RouteCall) async throws -> Reply
    ) {
        self.method = method
        self.path = path
        self.access = access
        self.query = query
        self.bodyLimit = bodyLimit
        self.operation = operation
        self.handle = handle
        segments = path.split(separator: "/").map {
            $0.hasPrefix("{") ? .parameter(String($0.dropFirst().dropLast())) : .literal(String($0))
        }
    }

    /// The parameters of a path that this route is for; nil where it is not.
    func parameters(of path: [String]) -> [String: String]? {
        guard path.count == segments.count else { return nil }
        var parameters: [String: String] = [:]
        for (segment, text) in zip(segments, path) {
            switch segment {
            case .literal(let literal): guard literal == text else { return nil }
            case .parameter(let name): parameters[name] = text
            }
        }
        return parameters
    }

    /// The limit of every body but that of an apply.
    static let smallBody = 64 << 10
    static let applyBody = ApplyRequest.longestBody
}

/// A request after its route was found and its caller was let in.
struct RouteCall: Sendable {
    let parameters: [String: String]
    let query: [String: String]
    let contentType: String?
    let accept: String?
    /// `If-Match` and `If-None-Match` (RFC 9110 section 13.1).
    let ifMatch: String?
    let ifNoneMatch: String?
    let body: [UInt8]

    /// A parameter that the route's path has.
    func parameter(_ name: String) -> String { parameters[name] ?? "" }

    /// A boolean of the query: `true`, `1`, `false`, `0`; nil where it is not given.
    func flag(_ name: String) throws -> Bool? {
        switch query[name] {
        case nil: nil
        case "true", "1", "": true
        case "false", "0": false
        case let text?:
            throw TrammelError(
                .invalid, code: "bad-query", "\(name)=\(text) is neither true nor false",
                hint: "write \(name)=true or leave it out")
        }
    }

    /// A duration of the query, as `5m` or `250ms`, in seconds; nil where it is not given.
    func seconds(_ name: String, in range: ClosedRange<Double>) throws -> Double? {
        guard let text = query[name] else { return nil }
        if case .success(let nanoseconds) = DurationText.parse(text), range.contains(Double(nanoseconds) / 1e9) {
            return Double(nanoseconds) / 1e9
        }
        throw TrammelError(
            .invalid, code: "bad-query",
            "\(name)=\(text) is not a duration from \(range.lowerBound)s to \(range.upperBound)s",
            hint: "write a number and a unit: \(name)=5m, \(name)=90s")
    }

    /// The kind that the parameter `kind` names, by any of its names.
    func kind() throws -> String {
        let name = parameter("kind")
        if let kind = KindNames.kind(named: name) { return kind }
        throw TrammelError(
            .notFound, code: "unknown-kind", "there is no kind \"\(name)\"",
            hint: KindNames.nearest(to: name).map { "did you mean \($0)?" }
                ?? "the kinds are \(KindNames.all.joined(separator: ", "))")
    }
}

/// The path and the query of a request's target.
struct RequestTarget: Sendable {
    let path: [String]
    let query: [String: String]

    /// - Throws: `TrammelError` of kind `invalid` where the percent-encoding is wrong or a name comes twice.
    init(path: String, query: String?) throws {
        self.path = try path.split(separator: "/").map { try RequestTarget.decode($0) }
        var values: [String: String] = [:]
        for pair in (query ?? "").split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = try RequestTarget.decode(parts[0])
            let value = parts.count == 2 ? try RequestTarget.decode(parts[1]) : ""
            guard values.updateValue(value, forKey: name) == nil else {
                throw TrammelError(
                    .invalid, code: "bad-query", "the query names \"\(name)\" twice", hint: "name it once")
            }
        }
        self.query = values
    }

    /// RFC 3986 section 2.1.
    private static func decode(_ text: Substring) throws -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(hex), let low = rest.popFirst().flatMap(hex) else {
                throw invalid(text)
            }
            bytes.append(high << 4 | low)
        }
        guard let decoded = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else { throw invalid(text) }
        return decoded
    }

    private static func hex(_ byte: UInt8) -> UInt8? {
        Character(Unicode.Scalar(byte)).hexDigitValue.map(UInt8.init)
    }

    private static func invalid(_ text: Substring) -> TrammelError {
        TrammelError(
            .invalid, code: "bad-target", "\"\(text)\" in the request's target is not percent-encoded UTF-8",
            hint: "encode reserved bytes as %XX")
    }
}
