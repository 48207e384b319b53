/// A query that was passed on under an id of the agent's own, so that the response can be told from a forgery and be
/// given back under the client's id. All other bytes of both messages stay as they are.
package struct DNSForwarding: Hashable, Sendable {
    package let clientID: UInt16
    package let forwardedID: UInt16
    package let question: DNSQuestion

    package init(_ query: DNSQuery, forwardedID: UInt16) {
        clientID = query.header.id
        self.forwardedID = forwardedID
        question = query.question
    }

    /// For a question of the agent's own.
    package init(asking question: DNSQuestion, id: UInt16) {
        clientID = id
        forwardedID = id
        self.question = question
    }

    package enum Verdict: Hashable, Sendable {
        /// The response to this query; `isTruncated` when TC asks to try TCP.
        case matches(isTruncated: Bool)
        /// Not a response, or to something else: wait on.
        case foreign
    }

    /// Whether `response` answers the query: its id, its opcode and its question (RFC 5452 section 9.1). An error may
    /// come without a question, as some servers send it.
    package func judge(_ response: UnsafeRawBufferPointer) -> Verdict {
        var reader = ByteReader(response)
        guard let header = DNSHeader(&reader), header.flags.isResponse, header.id == forwardedID else {
            return .foreign
        }
        if header.questions == 0, header.flags.lowResponseCode != 0, header.answers == 0 {
            return .matches(isTruncated: false)
        }
        guard header.questions == 1, let asked = try? DNSQuestion(&reader), asked == question else { return .foreign }
        return .matches(isTruncated: header.flags.isTruncated)
    }
}
