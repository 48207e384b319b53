import TrammelCore

/// Walks a chunked body (RFC 9112 section 7.1), judging it strictly, without copying or allocating.
///
/// It tells, run by run, what each byte is. A forwarder passes data and framing on as they came and leaves extensions
/// out, so what travels on is unambiguous; towards an HTTP/1.0 client it passes on the data alone.
package struct ChunkedDecoder: Sendable {
    private var state = State.sizeStart
    private var remaining: UInt64 = 0
    private var digits = 0
    private var trailerBytes = 0
    private var trailerLine = TrailerLine.start
    /// FNV-1a of the trailer name so far, in lower case.
    private var nameHash = ChunkedDecoder.emptyHash

    private enum State: UInt8 {
        case sizeStart, size, extensions, sizeLineFeed, data, dataReturn, dataLineFeed
        case trailers, trailerLineFeed, endLineFeed, done
    }

    private enum TrailerLine: UInt8 { case start, name, value }

    /// What the next bytes are.
    package enum Run: Sendable, Hashable {
        /// Part of the body itself.
        case data(Int)
        /// Chunk sizes, line ends, trailers: to be passed on where the next hop is told the length the same way.
        case framing(Int)
        /// A chunk extension; left out when passing on.
        case dropped(Int)
        /// All bytes are used up and the body goes on.
        case needMore
        /// The body is over; nothing of what follows belongs to it.
        case end
        case invalid(HTTP1Violation)
    }

    package init() {}

    package var isDone: Bool { state == .done }

    /// Classifies the run of bytes that begins at `start`. Call again from behind it until it answers `needMore`,
    /// `end` or `invalid`.
    package mutating func next(_ bytes: UnsafeRawBufferPointer, from start: Int, limits: HTTP1Limits) -> Run {
        var at = start
        while at < bytes.count {
            let byte = bytes[at]
            switch state {
            case .data:
                if at > start { return .framing(at - start) }
                let available = UInt64(bytes.count - at)
                let count = min(available, remaining)
                remaining -= count
                if remaining == 0 { state = .dataReturn }
                return .data(Int(count))
            case .sizeStart:
                guard Characters.table[Int(byte)] & Characters.hexDigit != 0 else { return .invalid(.badChunk) }
                remaining = UInt64(Characters.hexValue(byte))
                digits = 1
                state = .size
            case .size:
                if Characters.table[Int(byte)] & Characters.hexDigit != 0 {
                    // 15 digits are 2^60 bytes: more than any body, and no overflow.
                    guard digits < 15 else { return .invalid(.badChunk) }
                    remaining = remaining << 4 | UInt64(Characters.hexValue(byte))
                    digits += 1
                } else if byte == 0x0D {
                    state = .sizeLineFeed
                } else if byte == UInt8(ascii: ";") {
                    state = .extensions
                    trailerBytes = 0
                    if at > start { return .framing(at - start) }
                    continue
                } else {
                    return .invalid(.badChunk)
                }
            case .extensions:
                if byte == 0x0D {
                    // The CR is framing: hand out what came before it, and it with the next call.
                    if at > start { return .dropped(at - start) }
                    state = .sizeLineFeed
                } else {
                    guard Characters.table[Int(byte)] & Characters.fieldText != 0 else { return .invalid(.badChunk) }
                    trailerBytes += 1
                    guard trailerBytes <= limits.maxTrailerBytes else { return .invalid(.badChunk) }
                }
            case .sizeLineFeed:
                guard byte == 0x0A else { return .invalid(.badChunk) }
                state = remaining == 0 ? .trailers : .data
                trailerBytes = 0
                trailerLine = .start
            case .dataReturn:
                guard byte == 0x0D else { return .invalid(.badChunk) }
                state = .dataLineFeed
            case .dataLineFeed:
                guard byte == 0x0A else { return .invalid(.badChunk) }
                state = .sizeStart
            case .trailers:
                if let violation = trailer(byte, limits) { return .invalid(violation) }
            case .trailerLineFeed:
                guard byte == 0x0A else { return .invalid(.badTrailer) }
                state = .trailers
            case .endLineFeed:
                guard byte == 0x0A else { return .invalid(.badTrailer) }
                state = .done
                return .framing(at + 1 - start)
            case .done:
                return .end
            }
            at += 1
        }
        if at > start { return state == .extensions ? .dropped(at - start) : .framing(at - start) }
        return state == .done ? .end : .needMore
    }

    /// A field line of the trailer section, under the rules of a head's.
    private mutating func trailer(_ byte: UInt8, _ limits: HTTP1Limits) -> HTTP1Violation? {
        trailerBytes += 1
        guard trailerBytes <= limits.maxTrailerBytes else { return .badTrailer }
        let flags = Characters.table[Int(byte)]
        switch trailerLine {
        case .start:
            if byte == 0x0D {
                state = .endLineFeed
            } else {
                guard flags & Characters.token != 0 else { return .badTrailer }
                trailerLine = .name
                nameHash = ChunkedDecoder.hash(ChunkedDecoder.emptyHash, byte)
            }
        case .name:
            if byte == UInt8(ascii: ":") {
                if ChunkedDecoder.forbidden.contains(nameHash) { return .badTrailer }
                trailerLine = .value
            } else {
                guard flags & Characters.token != 0 else { return .badTrailer }
                nameHash = ChunkedDecoder.hash(nameHash, byte)
            }
        case .value:
            if byte == 0x0D {
                state = .trailerLineFeed
                trailerLine = .start
            } else {
                guard flags & Characters.fieldText != 0 else { return .badTrailer }
            }
        }
        return nil
    }

    private static let emptyHash: UInt64 = 0xCBF2_9CE4_8422_2325

    @inline(__always)
    private static func hash(_ hash: UInt64, _ byte: UInt8) -> UInt64 {
        (hash ^ UInt64(lowercased(byte))) &* 0x100_0000_01B3
    }

    /// Fields that frame or route a message and so may not come after it (RFC 9110 section 6.5.1). A name that
    /// collides with one by its hash is refused too, which costs nobody anything.
    private static let forbidden: Set<UInt64> = Set(
        ["content-length", "transfer-encoding", "host", "connection", "trailer", "te", "upgrade", "content-encoding"]
            .map { $0.utf8.reduce(emptyHash, hash) })
}
