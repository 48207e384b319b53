/// The bytes of a handshake message as CRYPTO frames bring them: in any order, some twice, some late (RFC 9000 section
/// 19.6).
///
/// Holds what was sent and no more: a frame that claims a far offset costs its own bytes only.
struct HandshakeBytes: Sendable {
    private struct Piece {
        let offset: Int
        var bytes: [UInt8]
        var end: Int { offset + bytes.count }
    }

    /// How far the message may reach.
    let limit: Int
    /// In order, with gaps between them.
    private var pieces: [Piece] = []

    init(limit: Int) { self.limit = limit }

    /// Of frames, so that nobody has the agent put together a hello of single bytes: clients send a few dozen.
    private static let mostFrames = 1024
    private var frames = 0

    mutating func add(_ offset: UInt64, _ bytes: UnsafeRawBufferPointer) throws(QUICViolation) {
        guard offset <= UInt64(limit), bytes.count <= limit - Int(offset) else { throw .tooLarge }
        guard !bytes.isEmpty else { return }
        frames += 1
        guard frames <= HandshakeBytes.mostFrames else { throw .tooLarge }
        let offset = Int(offset)
        // The first piece that this one touches or overlaps grows by it, or stands behind it where it begins earlier.
        let place = pieces.firstIndex { $0.end >= offset } ?? pieces.endIndex
        if place < pieces.endIndex, pieces[place].offset <= offset {
            try extend(place, by: bytes, at: offset)
        } else {
            pieces.insert(Piece(offset: offset, bytes: Array(bytes)), at: place)
        }
        while place + 1 < pieces.endIndex, pieces[place + 1].offset <= pieces[place].end {
            let next = pieces.remove(at: place + 1)
            try extend(place, by: next.bytes, at: next.offset)
        }
    }

    /// - Parameter offset: within the piece or at its end.
    private mutating func extend(
        _ place: Int, by bytes: some Collection<UInt8>, at offset: Int
    ) throws(QUICViolation) {
        let shared = min(pieces[place].end - offset, bytes.count)
        let start = offset - pieces[place].offset
        guard pieces[place].bytes[start..<start + shared].elementsEqual(bytes.prefix(shared)) else {
            throw .contradiction
        }
        pieces[place].bytes.append(contentsOf: bytes.dropFirst(shared))
    }

    /// The message so far, from its first byte to the first gap.
    var beginning: [UInt8] { pieces.first.flatMap { $0.offset == 0 ? $0.bytes : nil } ?? [] }
}
