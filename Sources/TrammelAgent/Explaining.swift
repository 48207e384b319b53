import TrammelCapture
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
    /// What is captured of the workload; nil while nothing is.
    var capture: CaptureRequest?

    func explain(_ request: ExplainRequest) throws -> TrammelControlAPI.Explanation {
        let target = try ExplainTarget(request.to)
        var steps: [DecisionStory.Step] = []
        var address = IPAddress(target.host)
        var resolved: ResolvedName?
        if address == nil {
            let name = explainName(snapshot, name: target.host, source: source)
            steps.append(name.step)
            resolved = name.resolved
            // Where the mesh does not know it, any address will do that no service owns.
            address = name.resolved?.addresses.first ?? (name.resolved == nil ? .anyV4 : nil)
        }
        if target.scheme == .dns { return answer(steps, resolved, target) }
        guard let address else {
            return TrammelControlAPI.Explanation(
                steps: steps.map(\.message), verdict: .refused,
                summary: "\(target.host) has no address now: the client is told so by the DNS",
                decidedBy: resolved.map { SourceReference($0.origin.location) })
        }
        let original = OriginalDestination(IPEndpoint(address, target.port))
        let port = snapshot.servicePort(at: original, for: source)
        if target.scheme == .udp
            || target.scheme == nil && port == nil && snapshot.datagramPort(at: original, for: source) != nil
        {
            return datagrams(original, steps, target)
        }
        let story: DecisionStory
        if target.scheme == .http || target.scheme == nil && port?.appProtocol == .http {
            story = try http(request, target, HTTPDestination(servicePort: port, original: original))
        } else {
            let isTLS = target.scheme == .tls || target.scheme == nil && port?.appProtocol.isTLS ?? (target.port == 443)
            let name: ServerName = isTLS && IPAddress(target.host) == nil ? .name(target.host.lowercased()) : .absent
            story = explainTCP(
                snapshot, source: source, original: original, serverName: name,
                entropy: SystemRandomNumberGenerator.word())
        }
        return TrammelControlAPI.Explanation(
            steps: (steps + story.steps).map(\.message), verdict: story.verdict.kind, summary: story.summary,
            decidedBy: story.decidedBy.map { SourceReference($0.location) })
    }

    /// The workload's own choice about UDP comes before the mesh's.
    private func datagrams(
        _ original: OriginalDestination, _ steps: [DecisionStory.Step], _ target: ExplainTarget
    ) -> TrammelControlAPI.Explanation {
        var told = steps.map(\.message)
        func choice(_ text: String) { told.append(.init(title: "udp", text: text)) }
        let destination = original.endpoint
        switch capture?.udp ?? .pass {
        case _ where target.port == 53 && capture?.capturesDNS ?? false:
            choice("port 53 goes to the agent's DNS, whatever becomes of other datagrams; ask about dns://NAME")
            return TrammelControlAPI.Explanation(steps: told, verdict: .answered, summary: "is answered by the agent")
        case .pass:
            choice("the workload's datagrams are not captured (udp: pass), so no resource has a say")
            return TrammelControlAPI.Explanation(
                steps: told, verdict: .passedThrough, summary: "goes past the agent to \(destination) itself")
        case .policy:
            let isAllowed =
                capture?.udpAllowed.contains {
                    $0.block.contains(destination.address) && ($0.port ?? destination.port) == destination.port
                } ?? false
            choice(
                "the workload's datagrams are held to a list by the kernel (udp: policy), which "
                    + (isAllowed ? "has \(destination)" : "\(destination) is not on"))
            return TrammelControlAPI.Explanation(
                steps: told, verdict: isAllowed ? .passedThrough : .refused,
                summary: isAllowed ? "goes past the agent to \(destination) itself" : "is refused by the kernel")
        case .proxy:
            choice("the workload's datagrams are carried by the agent (udp: proxy)")
            let story = explainDatagrams(snapshot, source: source, original: original)
            return TrammelControlAPI.Explanation(
                steps: told + story.steps.map(\.message), verdict: story.verdict.kind, summary: story.summary,
                decidedBy: story.decidedBy.map { SourceReference($0.location) })
        }
    }

    private func answer(
        _ steps: [DecisionStory.Step], _ resolved: ResolvedName?, _ target: ExplainTarget
    ) -> TrammelControlAPI.Explanation {
        guard let resolved else {
            return TrammelControlAPI.Explanation(
                steps: steps.map(\.message), verdict: .passedThrough,
                summary: "is forwarded to the resolver that the workload asks")
        }
        let addresses = resolved.addresses.map(\.description).joined(separator: ", ")
        return TrammelControlAPI.Explanation(
            steps: steps.map(\.message), verdict: .answered,
            summary:
                "is answered by the agent: \(addresses.isEmpty ? "the name exists and has no address" : addresses)",
            decidedBy: SourceReference(resolved.origin.location))
    }

    private func http(
        _ request: ExplainRequest, _ target: ExplainTarget, _ destination: HTTPDestination
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
}

/// What `explain` is asked about: a URL, `HOST:PORT`, or a name.
struct ExplainTarget {
    enum Scheme: String, CaseIterable {
        case http, tls, tcp, udp, dns
    }

    /// Nil for `HOST:PORT`, which is what the port is declared to be.
    let scheme: Scheme?
    let host: String
    let port: UInt16
    let path: String

    var authority: String { (host.contains(":") ? "[\(host)]" : host) + (port == 80 ? "" : ":\(port)") }

    init(_ text: String) throws {
        var rest = Substring(text)
        var scheme: Scheme?
        if let end = text.range(of: "://") {
            let name = text[..<end.lowerBound].lowercased()
            // What is inside TLS is not seen: only the name that the client asks for.
            scheme = Scheme(rawValue: name == "https" ? "tls" : name)
            guard scheme != nil else {
                throw TrammelError(
                    .invalid, code: "explain-to", "\"\(text)\": there is no way to explain \(name)",
                    hint: "write http://, https://, tls://, tcp://, udp:// or dns://, or HOST:PORT")
            }
            rest = text[end.upperBound...]
        }
        let slash = rest.firstIndex(of: "/")
        path = scheme == .http ? slash.map { String(rest[$0...]) } ?? "/" : "/"
        let authority = scheme == nil ? rest : rest[..<(slash ?? rest.endIndex)]
        let colon = authority.lastIndex(of: ":").flatMap { authority[$0...].contains("]") ? nil : $0 }
        var name = authority[..<(colon ?? authority.endIndex)]
        if name.hasPrefix("["), name.hasSuffix("]") { name = name.dropFirst().dropLast() }
        let usual: UInt16? =
            switch scheme {
            case .http: 80
            case .tls: 443
            case .dns: 53
            case .tcp, .udp, nil: nil
            }
        let number = colon.map { UInt16(authority[authority.index(after: $0)...]) } ?? usual
        guard let number, number > 0, !name.isEmpty else {
            throw TrammelError(
                .invalid, code: "explain-to", "\"\(text)\" is neither a URL nor HOST:PORT",
                hint: "write http://reviews:9080/path, reviews:9080, https://api.example.com or dns://reviews")
        }
        self.scheme = scheme
        host = String(name)
        port = number
    }
}

extension String {
    /// Where `part` first stands.
    fileprivate func range(of part: String) -> Range<String.Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(part) { return start..<index(start, offsetBy: part.count) }
            start = index(after: start)
        }
        return nil
    }
}

extension SystemRandomNumberGenerator {
    fileprivate static func word() -> UInt64 {
        var generator = SystemRandomNumberGenerator()
        return generator.next()
    }
}

extension DecisionStory.Step {
    fileprivate var message: TrammelControlAPI.Explanation.Step {
        .init(
            title: title, text: detail, resource: origin.map { "\($0.key)" }, source: location.map(SourceReference.init)
        )
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
