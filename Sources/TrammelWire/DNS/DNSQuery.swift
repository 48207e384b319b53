/// A query as it reaches the agent: one question, whose bytes are sound to the last.
///
/// The message itself stays with the caller, for forwarding it byte for byte.
package struct DNSQuery: Hashable, Sendable {
    package let header: DNSHeader
    package let question: DNSQuestion
    package let edns: EDNS?

    /// What some bytes that came to the agent's DNS port are.
    package enum Arrival: Hashable, Sendable {
        case query(DNSQuery)
        /// A query, but not a sound one: answered with FORMERR.
        case malformed(DNSHeader, DNSFormatError)
        /// Too short for a header, or a response: never answered, so that two servers cannot keep each other busy.
        case ignored
    }

    package static func read(_ bytes: UnsafeRawBufferPointer) -> Arrival {
        guard let header = DNSHeader(bytes), !header.flags.isResponse else { return .ignored }
        do {
            let message = try DNSMessage(bytes)
            guard let question = message.questions.first, message.questions.count == 1 else {
                return .malformed(header, .questionCount)
            }
            return .query(DNSQuery(header: header, question: question, edns: message.edns))
        } catch {
            return .malformed(header, error)
        }
    }

    package static func read(_ bytes: [UInt8]) -> Arrival { bytes.withUnsafeBytes { read($0) } }

    /// Whether it is of the kind that the agent answers by itself: opcode QUERY, class IN, an EDNS version that is known.
    /// Everything else is forwarded, but for an EDNS version, which gets BADVERS.
    package var isPlain: Bool {
        header.flags.opcode == 0 && (question.class == .internet || question.class == .any) && (edns?.version ?? 0) == 0
    }

    /// The largest answer that the client takes over UDP: 512, or what its EDNS says (RFC 6891 section 6.2.3), but not
    /// more than what travels without fragments.
    package var udpLimit: Int {
        min(max(512, Int(edns?.udpPayloadSize ?? 512)), Int(Self.ownUDPSize))
    }

    /// What the agent takes, and sends at most: 1232 bytes fit the smallest MTU of IPv6 (DNS flag day 2020).
    package static let ownUDPSize: UInt16 = 1232
}

/// What the agent says to a query.
package enum DNSAnswer: Hashable, Sendable {
    /// Records that answer, at least one; the second list is for what goes with them (SRV's addresses).
    case records([DNSRecord], additional: [DNSRecord] = [])
    /// The name is there, the type is not.
    case noData(authority: DNSRecord)
    /// The name is not there.
    case nameError(authority: DNSRecord)
    case failure(DNSResponseCode)
}

package enum DNSTransport: Hashable, Sendable {
    case udp, tcp
}

extension DNSQuery {
    /// The agent's response: id and question as they came, letter for letter; cut to what the transport takes.
    package func response(_ answer: DNSAnswer, over transport: DNSTransport) -> [UInt8] {
        var message = DNSMessage(id: header.id, flags: Self.responseFlags(header))
        message.questions = [question]
        if edns != nil { message.edns = EDNS(udpPayloadSize: Self.ownUDPSize) }
        switch answer {
        case .records(let records, let additional):
            message.flags.isAuthoritative = true
            message.answers = records
            message.additionals = additional
        case .noData(let authority):
            message.flags.isAuthoritative = true
            message.authorities = [authority]
        case .nameError(let authority):
            message.flags.isAuthoritative = true
            message.authorities = [authority]
            message.responseCode = .nameError
        case .failure(let code):
            message.responseCode = code
        }
        return message.encoded(limit: transport == .udp ? udpLimit : 65_535)
    }

    /// FORMERR to a query whose question could not be read: a header alone.
    package static func formatError(_ header: DNSHeader) -> [UInt8] {
        var message = DNSMessage(id: header.id, flags: responseFlags(header))
        message.responseCode = .formatError
        return message.encoded()
    }

    /// The opcode, RD and CD of the query; RA, since the agent forwards what it does not know.
    private static func responseFlags(_ header: DNSHeader) -> DNSFlags {
        var flags = DNSFlags()
        flags.isResponse = true
        flags.opcode = header.flags.opcode
        flags.recursionDesired = header.flags.recursionDesired
        flags.checkingDisabled = header.flags.checkingDisabled
        flags.recursionAvailable = true
        return flags
    }
}
