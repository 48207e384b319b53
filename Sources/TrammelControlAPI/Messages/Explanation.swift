/// `POST /v1/explain`: a call that somebody might make.
package struct ExplainRequest: Codable, Hashable, Sendable {
    /// The calling workload, `namespace/name` or a name in `default`.
    package var from: String
    /// A URL (`http://reviews:9080/1`) or `host:port`.
    package var to: String
    package var method: String
    /// In the order given; a name may occur more than once.
    package var headers: [Header]

    package struct Header: Codable, Hashable, Sendable {
        package var name: String
        package var value: String

        package init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    package init(from: String, to: String, method: String = "GET", headers: [Header] = []) {
        self.from = from
        self.to = to
        self.method = method
        self.headers = headers
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        from = try container.decode(String.self, forKey: .from)
        to = try container.decode(String.self, forKey: .to)
        method = try container.decodeIfPresent(String.self, forKey: .method) ?? "GET"
        headers = try container.decodeIfPresent([Header].self, forKey: .headers) ?? []
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case from, to, method, headers
    }
}

extension ExplainRequest: StrictMessage {
    package static var memberNames: [String] { CodingKeys.allCases.map(\.rawValue) }
}

/// The decision that the data path would take, as a story: each step a sentence, with what was written where.
package struct Explanation: Codable, Hashable, Sendable {
    package enum Verdict: String, Codable, Hashable, Sendable {
        /// Goes to an endpoint that the configuration chose.
        case routed
        /// Goes where it was going.
        case passedThrough
        /// Answered by the agent: a redirect or a direct response.
        case answered
        /// Denied or impossible: the caller gets an error.
        case refused
    }

    package struct Step: Codable, Hashable, Sendable {
        /// The stage in a word or two: `Capture`, `Service`, `Route`.
        package var title: String
        /// One or two sentences without the source.
        package var text: String
        /// The resource behind the step: `VirtualService default/reviews`.
        package var resource: String?
        package var source: SourceReference?

        package init(title: String, text: String, resource: String? = nil, source: SourceReference? = nil) {
            self.title = title
            self.text = text
            self.resource = resource
            self.source = source
        }
    }

    package var steps: [Step]
    package var verdict: Verdict
    /// The outcome in a sentence.
    package var summary: String
    /// Where the line stands that decided; nil where a default did.
    package var decidedBy: SourceReference?

    package init(steps: [Step], verdict: Verdict, summary: String, decidedBy: SourceReference? = nil) {
        self.steps = steps
        self.verdict = verdict
        self.summary = summary
        self.decidedBy = decidedBy
    }
}
