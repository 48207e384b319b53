/// What the first datagrams of a client are.
package enum QUICOutcome: Hashable, Sendable {
    /// QUIC so far, with more of the ClientHello to come.
    case needMore
    /// Not QUIC, or nothing of it that a client begins with.
    case notQUIC
    /// QUIC whose ClientHello cannot be read: of a version that is not known here.
    case opaque(QUICVersion)
    case hello(ClientHello, QUICVersion)
    case malformed(QUICViolation)

    /// Whether a client speaks QUIC, as far as is known.
    package var isQUIC: Bool { self != .notQUIC }
}

/// What is wrong with packets that were sealed as QUIC has it.
package enum QUICViolation: String, Error, Hashable, Sendable, CaseIterable {
    /// A frame that Initial packets may not carry, or one that does not fit its packet.
    case badFrame = "bad_frame"
    /// Bits that have to be zero are not, or a packet without a frame.
    case badPacket = "bad_packet"
    /// The same bytes of the hello were sent twice and differ, so that each reader might take another.
    case contradiction = "contradiction"
    case tooLarge = "too_large"
    /// It has gone on for too many datagrams without becoming a hello.
    case tooLong = "too_long"
    case badHello = "bad_hello"
}
