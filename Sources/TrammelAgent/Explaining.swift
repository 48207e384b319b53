import TrammelConfig
import TrammelControlAPI
import TrammelCore
import TrammelPolicy
import TrammelWire

/// Answers "what would become of this call": writes the request as a client would, reads it with the data path's own
/// parser and asks the data path's own decision, with somebody listening.
struct Explaining {
    let snapshot: RuntimeSnapshot
    let source: Source

    func explain(_ request: ExplainRequest) throws -> TrammelControlAPI.Explanation {
        let target = try Target(request.to)
        let address = try address(of: target)
        let original = OriginalDestination(IPEndpoint(address, target.port))
        let port = snapshot.servicePort(at: original)
        let destination = HTTPDestination(servicePort: port, original: original)
        let isHTTP = target.isURL || port?.appProtocol == .http
        let story =
            isHTTP
            ? try http(request, target, destination) : explainTCP(snapshot, source: source, destination: destination)
        var steps = [TrammelControlAPI.Explanation.Step]()
        if let name = snapshot.resolve(name: target.host, from: source.identity.name.namespace) {
            steps.append(
                .init(title: "name", text: "\(target.host) is \(name.host), which resolves to \(address)"))
        }
        steps += story.steps.map { step in
            .init(
                title: step.title, text: step.detail, resource: step.origin.map { "\($0.key)" },
                source: step.location.map(SourceReference.init))
        }
        return TrammelControlAPI.Explanation(
            steps: steps, verdict: story.verdict.kind, summary: story.summary,
            decidedBy: story.decidedBy.map { SourceReference($0.location) })
    }

    private func http(
        _ request: ExplainRequest, _ target: Target, _ destination: HTTPDestination
    ) throws -> DecisionStory {
        var text = "\(request.method) \(target.path) HTTP/1.1\r\n"
        if !request.headers.contains(where: { $0.name.lowercased() == "host" }) {
            text += "host: \(target.authority)\r\n"
        }
        for header in request.headers { text += "\(header.name): \(header.value)\r\n" }
        text += "\r\n"
        var head = RequestHead()
        return try Array(text.utf8).withUnsafeBytes { bytes in
            switch head.parse(bytes, limits: HTTP1Limits()) {
            case .complete(bytes.count):
                return head.withView(bytes) { view in
                    TrammelPolicy.explain(
                        snapshot, source: source, destination: destination, request: view,
                        entropy: SystemRandomNumberGenerator.word())
                }
            case .invalid(let violation):
                throw TrammelError(
                    .invalid, code: "explain-request",
                    "this would not be a valid HTTP/1.1 request: \(violation.rawValue)",
                    hint: "check the method, the path and the headers")
            default:
                throw TrammelError(
                    .invalid, code: "explain-request", "the method, the path or a header holds a line break",
                    hint: "take it out")
            }
        }
    }

    private func address(of target: Target) throws -> IPAddress {
        if let literal = IPAddress(target.host) { return literal }
        guard let name = snapshot.resolve(name: target.host, from: source.identity.name.namespace),
            let address = name.addresses.first
        else {
            throw TrammelError(
                .notFound, code: "explain-host", "the mesh knows no service \(target.host)",
                hint: "`trammel services` lists them; for a place outside the mesh give its address")
        }
        return address
    }

    /// `http://host[:port]/path` or `host:port`.
    private struct Target {
        let host: String
        let port: UInt16
        let path: String
        let isURL: Bool
        var authority: String { (host.contains(":") ? "[\(host)]" : host) + (port == 80 ? "" : ":\(port)") }

        init(_ text: String) throws {
            var rest = Substring(text)
            if rest.hasPrefix("https://") {
                throw TrammelError(
                    .invalid, code: "explain-to",
                    "\"\(text)\": what is inside TLS is not seen, so no route looks at it",
                    hint: "write HOST:PORT, which tells where the connection goes")
            }
            isURL = rest.hasPrefix("http://")
            if isURL { rest = rest.dropFirst(7) }
            let slash = rest.firstIndex(of: "/")
            path = isURL ? slash.map { String(rest[$0...]) } ?? "/" : "/"
            let authority = isURL ? rest[..<(slash ?? rest.endIndex)] : rest
            let colon = authority.lastIndex(of: ":").flatMap { authority[$0...].contains("]") ? nil : $0 }
            var name = authority[..<(colon ?? authority.endIndex)]
            if name.hasPrefix("["), name.hasSuffix("]") { name = name.dropFirst().dropLast() }
            let number = colon.map { UInt16(authority[authority.index(after: $0)...]) } ?? (isURL ? 80 : nil)
            guard let number, number > 0, !name.isEmpty else {
                throw TrammelError(
                    .invalid, code: "explain-to", "\"\(text)\" is neither a URL nor HOST:PORT",
                    hint: "write http://reviews:9080/path, or reviews:9080")
            }
            host = String(name)
            port = number
        }
    }
}

extension SystemRandomNumberGenerator {
    fileprivate static func word() -> UInt64 {
        var generator = SystemRandomNumberGenerator()
        return generator.next()
    }
}

extension DecisionStory.Verdict {
    fileprivate var kind: TrammelControlAPI.Explanation.Verdict {
        switch self {
        case .forward: .routed
        case .passthrough: .passedThrough
        case .respond: .answered
        case .refuse: .refused
        }
    }
}
